"""Diversity: how much the agents of a generation differ in one round."""

import functools
from typing import TYPE_CHECKING

from agents.engines.base_model import Bases
from agents.engines.registry import resident
from agents.frames import read_problems, read_responses
from agents.judging.diversity import diversity as core
from agents.judging.embedding import EncoderRef
from agents.society import Agent
from agents.store import Artifact, Store
from evaluation.measures.diversity import Diversity
from infra.config.job import Runner
from infra.home.cache import step
from infra.home.home import current_home
from infra.home.progress import progress
from tasks.sample import CALLS

if TYPE_CHECKING:
    from agents.judging.embedding import Encoder


@step(
    *CALLS,
    "agents.judging.diversity",
    "agents.judging.likelihood",
    "agents.judging.embedding",
    "evaluation.measures.diversity",
    "evaluation.measures.debates",
    "evaluation.measures.styles",
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
    """The measures of `evaluation.measures.diversity` over the responses of one round.

    Args:
        agents: those who spoke in it.
        responses: of rounds 1 .. round_.
        encoder: for dissimilarity, see `agents.judging.embedding.Encoder`; None leaves it out.
    """
    store = Store(current_home().artifacts)
    engine = resident(bases, runner.device, runner.batch_rows, store.folders)
    embed = _encoder(encoder, str(engine.of(0).model.device)) if encoder else None
    said = read_responses(store, responses)
    with progress(f"{label} · diversity") as tell:
        return core(engine, agents, read_problems(store, problems), said, round_, embed, tell)


@functools.lru_cache(maxsize=1)
def _encoder(encoder: EncoderRef, device: str) -> "Encoder":
    from agents.judging.embedding import Encoder

    return Encoder(encoder.name, device)
