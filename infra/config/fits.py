"""Refuses an engine, a training method, a vote, base models and agents that do not fit each other."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

from agents.debate.votes import VOTES
from agents.engines.base_model import DType
from agents.engines.registry import ENGINES
from agents.engines.settings import EngineSettings
from agents.hosted.section import in_hosted
from agents.training.methods import METHODS
from agents.training.settings import FinetuneSettings


def check_engine(engine: EngineSettings, *, vote: str, base_models: Sequence[str], agents: int, dtype: DType) -> None:
    """Refuse a vote, base models or a type of numbers that the engine cannot serve, and more base models than agents.

    Raises:
        ValueError: the fields contradict each other; the message names both.
    """
    check_vote(engine, vote)
    if dtype == "nf4" and not engine.in_process:
        raise ValueError(
            f"runner.dtype is nf4, but engine.name is {engine.name}, which would speak with other weights than agents "
            f"learn on; set engine.name to {_that(lambda kind: kind.in_process)}, or runner.dtype to bfloat16"
        )
    if len(base_models) > agents:
        raise ValueError(
            f"base_models names {len(base_models)} base models, but agents is {agents}, and each agent has one base "
            "model; name at most as many base models as there are agents"
        )
    if len(set(base_models)) > 1 and not engine.mixes_bases:
        raise ValueError(
            f"base_models names {len(set(base_models))} different ones, but engine.name is {engine.name}, which can "
            f"have only one; set engine.name to {_that(lambda kind: kind.mixes_bases)}, or set base_model instead of "
            "base_models"
        )


def check_vote(engine: EngineSettings, vote: str, section: str = "") -> None:
    """Refuse a vote that needs what the engine of a section, such as `hosted.`, cannot compute.

    Raises:
        ValueError: the fields contradict each other; the message names both.
    """
    if VOTES[vote].reads_likelihoods and not engine.reads_likelihoods:
        raise ValueError(
            f"debate.vote is {vote}, which needs likelihoods of texts, but {section}engine.name is {engine.name}; "
            f"set debate.vote to majority, or {section}engine.name to {_that(lambda kind: kind.reads_likelihoods)}"
        )


def _that(can: Callable[[type[EngineSettings]], bool]) -> str:
    return " or ".join(name for name in ENGINES.names() if can(ENGINES[name]))


def check_method(engine: EngineSettings, finetune: FinetuneSettings, section: str = "") -> None:
    """Refuse a training method whose adapters the engine of the same section, such as `hosted.`, cannot speak with.

    Raises:
        ValueError: the fields contradict each other; the message names both.
    """
    can = _learns_by(engine)
    if finetune.method not in can:
        engines = [name for name in ENGINES.names() if finetune.method in _learns_by(ENGINES[name])]
        raise ValueError(
            f"{section}finetune.method is {finetune.method}, but {section}engine.name is {engine.name}, which cannot "
            f"speak with its adapters; set {section}finetune.method to {' or '.join(can)}, or {section}engine.name to "
            f"{' or '.join(engines)}"
        )
    with in_hosted() if section else nullcontext():
        finetune.check(engine)


def _learns_by(engine: EngineSettings | type[EngineSettings]) -> list[str]:
    """The training methods whose adapters an engine can speak with."""
    here = [name for name in METHODS.names() if engine.loads_adapters and not METHODS[name].asks_service]
    return [*here, *engine.learns_by]


def check_votes(finetune: FinetuneSettings, agents: int) -> None:
    """Refuse a `finetune.min_votes` above the number of agents that vote.

    Raises:
        ValueError: min_votes is too high; the message names both fields.
    """
    if finetune.min_votes > agents:
        raise ValueError(
            f"finetune.min_votes is {finetune.min_votes}, but only agents={agents} vote; "
            "set finetune.min_votes to at most the number of agents"
        )
