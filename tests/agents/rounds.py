"""Functions that run the steps of a debate with a given engine, and take and return frames."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import pandas as pd

from agents import ask, steps
from agents.ask import Answer, Card
from agents.benchmark import star
from agents.debate.prompts import DEFAULT, Prompts
from agents.debate.settings import DebateSettings
from agents.engines.base_model import Base, Bases
from agents.engines.protocol import Completion, Engine, OnProgress, Request, Sampling
from agents.engines.settings import EngineSettings
from agents.engines.transformers import resident
from agents.engines.transformers.engine import TransformersEngine
from agents.frames import problems_frame
from agents.judging import confidence as judging
from agents.judging import diversity as diverse
from agents.judging.embedding import EncoderRef
from agents.records import Responses, Stream, Transcript
from agents.run import Run
from agents.runners.settings import Runner
from agents.society import Agent, Society
from agents.store import MemoryStore
from evaluation.measures.diversity import Diversity
from evaluation.problems.problem import Problem

SOME = Bases(each=(Base(name="a test's own", sha256="0" * 64),))
_numbers = itertools.count()


class Listening:
    """The real engine, which also notes its requests."""

    def __init__(self, engine: TransformersEngine) -> None:
        self.engine = engine
        self.heard: list[list[Request]] = []

    def complete(self, requests: Sequence[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        self.heard.append(list(requests))
        return self.engine.complete(requests, sampling, on_progress)


class Given(EngineSettings):
    """Settings that open an existing engine."""

    reads_likelihoods: ClassVar[bool] = True

    name: str = "given"
    engine: Any

    def open(self, bases: Bases, runner: Runner, adapters: Path) -> Engine:
        return self.engine


def run_with(engine: Engine, settings: EngineSettings | None = None, prompts: Prompts = DEFAULT) -> Run:
    """A run of the plain steps with this engine, which is also the resident model, and a new store."""
    store = MemoryStore(Path(f"run {next(_numbers)}"))
    run = Run(steps=steps, bases=SOME, engine=settings or Given(engine=engine), store=store, prompts=prompts)
    resident._held[run.bases, run.runner, store.folders] = engine  # type: ignore[assignment]
    return run


def transcript(run: Run, problems: Sequence[Problem], stream: Stream, *rounds: pd.DataFrame) -> Transcript:
    """The transcript of a debate with these responses; each frame holds one round or more."""
    x = run.store.put_frame(problems_frame(problems))
    frames = [own for frame in rounds for _, own in frame.groupby("round")]
    said = [Responses(responses=run.store.put_frame(each), sampled_tokens=0, seconds=0.0) for each in frames]
    return Transcript(problems=x, stream=stream, rounds=tuple(said))


def generate(
    engine: Engine,
    agents: Sequence[Agent],
    problems: Sequence[Problem],
    sampling: Sampling,
    stream: Stream,
    personas: Sequence[str] = (),
) -> pd.DataFrame:
    run = run_with(engine)
    begun = transcript(run, problems, stream)
    made = steps.generate(run, agents, transcript=begun, personas=personas, sampling=sampling)
    return run.store.frame(made.responses)


def debate(
    engine: Engine,
    agents: Sequence[Agent],
    problems: Sequence[Problem],
    earlier: pd.DataFrame,
    rules: DebateSettings,
    sampling: Sampling,
    stream: Stream,
) -> pd.DataFrame:
    run = run_with(engine)
    so_far = transcript(run, problems, stream, earlier)
    made = steps.debate(run, agents, transcript=so_far, rules=rules, sampling=sampling)
    return run.store.frame(made.responses)


def confidence(engine: Engine, society: Society, problems: Sequence[Problem], responses: pd.DataFrame) -> pd.DataFrame:
    run = run_with(engine)
    whole = transcript(run, problems, Stream(seed=0, purpose="evaluate", iteration=0), responses)
    return run.store.frame(judging.confidence(run, society, transcript=whole).responses)


def diversity(
    engine: Engine, agents: Sequence[Agent], problems: Sequence[Problem], responses: pd.DataFrame, embed: Any = None
) -> Diversity:
    """The diversity of the last round in `responses`."""
    run = run_with(engine)
    whole = transcript(run, problems, Stream(seed=0, purpose="evaluate", iteration=0), responses)
    encoder = EncoderRef(name="a test's own", sha256="0") if embed else None
    with patch.object(diverse, "_encoder", lambda encoder, device: embed):
        return diverse.diversity(run, agents, transcript=whole, encoder=encoder)


def rationalise(
    engine: Engine,
    agents: Sequence[Agent],
    problems: Sequence[Problem],
    first: pd.DataFrame,
    sampling: Sampling,
    stream: Stream,
) -> pd.DataFrame:
    """The responses of round 1, with the retries in place of wrong ones."""
    run = run_with(engine)
    made = star.rationalise(run, agents, transcript=transcript(run, problems, stream, first), sampling=sampling)
    return run.store.frame(made.responses)


def answer(
    engine: Engine,
    society: Society,
    questions: Sequence[str],
    rules: DebateSettings,
    sampling: Sampling,
    seed: int,
    settings: EngineSettings | None = None,
) -> list[Answer]:
    card = Card(society=society, bases=SOME, debate=rules, sampling=sampling)
    return ask.answer(run_with(engine, settings), card, questions, seed=seed)
