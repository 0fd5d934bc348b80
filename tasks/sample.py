"""Generate and debate: the tasks that sample. One task is one round, all agents over all problems."""

import time
from collections.abc import Sequence

from agents.debate import debate as core
from agents.debate import generate as first_round
from agents.debate.generate import Stream
from agents.debate.settings import Rules
from agents.engines.base_model import Bases
from agents.engines.protocol import Sampling
from agents.engines.registry import engine_of
from agents.engines.settings import EngineSettings
from agents.frames import read_problems, read_responses
from agents.society import Agent
from agents.store import Artifact, Store
from evaluation.record import Record
from infra.config.job import Runner
from infra.home.cache import step
from infra.home.home import current_home
from infra.home.progress import progress


class Responses(Record):
    """The responses of all agents in one round."""

    responses: Artifact
    sampled_tokens: int
    seconds: float
    messages: int = 0
    """How many the summariser was asked to write as JSON."""
    fallbacks: int = 0
    """How many of them were not valid, and built from the responses."""


def fallback_share(rounds: Sequence[Responses]) -> float | None:
    """Of the messages of several rounds; None if none was asked for as JSON."""
    messages = sum(each.messages for each in rounds)
    return sum(each.fallbacks for each in rounds) / messages if messages else None


CALLS = (
    "agents.debate.debate",
    "agents.debate.responses",
    "agents.debate.topology",
    "agents.debate.messages",
    "agents.debate.prompts",
    "agents.engines.chat",
    "agents.seeding",
    "agents.engines",
    "evaluation.answers.extract",
    "evaluation.answers.exact",
    "evaluation.answers.symbolic",
)


@step(*CALLS, name="{label} · generate")
def generate(
    bases: Bases,
    generators: list[Agent],
    problems: Artifact,
    personas: list[str],
    sampling: Sampling,
    stream: Stream,
    engine: EngineSettings,
    runner: Runner,
    label: str,
) -> Responses:
    """Round 1: every generation agent answers every problem."""
    started = time.monotonic()
    store = Store(current_home().artifacts)
    speaking = engine_of(engine, bases, runner.device, runner.batch_rows, store.folders)
    with progress(f"{label} · generate") as tell:
        frame = first_round.generate(
            speaking, generators, read_problems(store, problems), sampling, stream, tell, personas
        )
    return Responses(
        responses=store.put_frame(frame),
        sampled_tokens=int(frame["sampled_tokens"].sum()),
        seconds=time.monotonic() - started,
    )


@step(*CALLS, name="{label} · debate · round {round_}")
def debate(
    bases: Bases,
    critics: list[Agent],
    problems: Artifact,
    earlier: list[Artifact],
    round_: int,
    rules: Rules,
    sampling: Sampling,
    stream: Stream,
    engine: EngineSettings,
    runner: Runner,
    label: str,
) -> Responses:
    """Round m >= 2: every critic agent reads what the others said in round m-1 and answers again."""
    started = time.monotonic()
    store = Store(current_home().artifacts)
    speaking = engine_of(engine, bases, runner.device, runner.batch_rows, store.folders)
    said = read_responses(store, earlier)
    with progress(f"{label} · debate · round {round_}") as tell:
        frame = core.debate(
            speaking, critics, read_problems(store, problems), said, round_, rules, sampling, stream, tell
        )
    return Responses(
        responses=store.put_frame(frame),
        sampled_tokens=int(frame["sampled_tokens"].sum()),
        seconds=time.monotonic() - started,
        messages=int(frame["fallback"].notna().sum()),
        fallbacks=int(frame["fallback"].eq(True).sum()),
    )
