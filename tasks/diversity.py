"""Diversity: how much the agents of a generation differ in one round."""

import functools
from typing import TYPE_CHECKING

from agents.diversity import diversity as core
from agents.embedding import EncoderRef
from agents.engines.base_model import Bases
from agents.engines.resident import resident
from agents.society import Agent
from evaluation.diversity import Diversity
from infra.cache import step
from infra.config import Runner
from infra.frames import read_problems, read_responses
from infra.home import current_home
from infra.progress import progress
from infra.store import Artifact, Store
from tasks.sample import CALLS

if TYPE_CHECKING:
    from agents.embedding import Encoder


@step(
    *CALLS,
    "agents.diversity",
    "agents.likelihood",
    "agents.embedding",
    "evaluation.diversity",
    "evaluation.metrics",
    "evaluation.styles",
    name="{label} · diversity",
)
def diversity(
    bases: Bases,
    agents: list[Agent],
    problems: Artifact,
    responses: list[Artifact],
    round_: int,
    encoder: EncoderRef | None,
    runner: Runner,
    label: str,
) -> Diversity:
    """The measures of `evaluation.diversity` over the responses of one round.

    Args:
        agents: those who spoke in it.
        responses: of rounds 1 .. round_.
        encoder: for dissimilarity, see `agents.embedding.Encoder`; None leaves it out.
    """
    store = Store(current_home().artifacts)
    engine = resident(bases, runner.device, runner.batch_rows, store.folders)
    embed = _encoder(encoder, str(engine.of(0).model.device)) if encoder else None
    said = read_responses(store, responses)
    with progress(f"{label} · diversity") as tell:
        return core(engine, agents, read_problems(store, problems), said, round_, embed, tell)


@functools.lru_cache(maxsize=1)
def _encoder(encoder: EncoderRef, device: str) -> "Encoder":
    from agents.embedding import Encoder

    return Encoder(encoder.name, device)
