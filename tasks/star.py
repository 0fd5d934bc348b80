"""STaR: what a model got wrong, tried again with the answer as a hint; the only tasks that show a model a label."""

import time

import pandas as pd

from agents import star as core
from agents.debate.generate import Stream
from agents.engines.base_model import Bases
from agents.engines.protocol import Sampling
from agents.engines.registry import engine_of
from agents.engines.settings import EngineSettings
from agents.frames import read_problems
from agents.society import Agent
from agents.store import Artifact, Store
from infra.config.job import Runner
from infra.home.cache import step
from infra.home.home import current_home
from infra.home.progress import progress
from tasks.sample import CALLS, Responses
from tasks.vote import Consensus


@step("agents.star", *CALLS, name="{label} · rationalise")
def rationalise(
    bases: Bases,
    generators: list[Agent],
    problems: Artifact,
    first: Artifact,
    sampling: Sampling,
    stream: Stream,
    engine: EngineSettings,
    runner: Runner,
    label: str,
) -> Responses:
    """Round 1 with each wrong response replaced by one retry; tokens and seconds are those of the retries."""
    started = time.monotonic()
    store = Store(current_home().artifacts)
    speaking = engine_of(engine, bases, runner.device, runner.batch_rows, store.folders)
    said = store.frame(first)
    with progress(f"{label} · rationalise") as tell:
        retries = core.rationalise(speaking, generators, read_problems(store, problems), said, sampling, stream, tell)
    return Responses(
        responses=store.put_frame(core.with_retries(said, retries)),
        sampled_tokens=int(retries["sampled_tokens"].sum()),
        seconds=time.monotonic() - started,
    )


@step(name="{label} · references")
def references(problems: Artifact, label: str) -> Consensus:
    """The reference answers in the form of a vote's outcome, all of them to be learned from."""
    store = Store(current_home().artifacts)
    asked = read_problems(store, problems)
    rows = [(problem.id, problem.answer, 1, False, True) for problem in asked]
    frame = pd.DataFrame(rows, columns=["problem_id", "answer", "votes", "tied", "kept"])
    return Consensus(
        votes=store.put_frame(frame), kept=len(asked), dropped=0, kept_accuracy=None, dropped_accuracy=None
    )
