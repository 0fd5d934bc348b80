"""The society of a registered generation, checked against a config, with its adapters in a store."""

import json

from agents.engines.base_model import Bases
from agents.society import Society
from agents.store import Store
from infra.config.job import Config
from infra.errors import UserError
from infra.lineage.agents import fetch_adapter, model_name
from infra.lineage.societies import SocietyVersion


def society_of(origin: SocietyVersion, config: Config, bases: Bases, store: Store) -> Society:
    """The society of a generation that fits the config; its adapters are fetched into the store.

    Raises:
        UserError: it belongs to other base models or another number of agents.
    """
    where = f"version {origin.version} of society {origin.name!r} (generation {origin.generation})"
    _check_bases(where, origin.bases, config, bases)
    if len(origin.society.generators) != config.agents:
        raise UserError(
            f"agents is {config.agents}, but {where} has {len(origin.society.generators)} generation agents; "
            "set agents to that number, or start_from to base"
        )
    fetch_adapters(origin, store)
    return origin.society


def _check_bases(where: str, own: Bases, config: Config, bases: Bases) -> None:
    """Refuse a config whose base models are not those of the generation, or are used in another way."""
    if own.sha256 != bases.sha256:
        names = [base.source for base in own.each]
        right = f"base_models to {names}" if len(names) > 1 else f"base_model to {names[0]!r} as it was then"
        raise UserError(
            f"{'base_models' if config.base_models else 'base_model'} is {', '.join(config.bases)!r}, but {where} was "
            f"tuned on {', '.join(names)!r} with other weights; set {right}, or start_from to base"
        )
    if (dtype := own.of(0).dtype) != bases.of(0).dtype:
        raise UserError(
            f"runner.dtype is {bases.of(0).dtype}, but {where} was tuned with {dtype}; set runner.dtype to {dtype}, "
            "or start_from to base"
        )
    theirs, ours = (
        {name: value for base in each for name, value in base.chat_template} for each in (own.each, bases.each)
    )
    if theirs != ours:
        raise UserError(
            f"chat_template is {json.dumps(ours)}, but {where} was tuned with {json.dumps(theirs)}; set chat_template "
            "to that, or start_from to base"
        )


def fetch_adapters(version: SocietyVersion, store: Store) -> None:
    """Fetch every adapter of a registered generation into the store."""
    for agent in version.society.agents:
        if agent.adapter:
            name = model_name(version.name, agent.name)
            fetch_adapter(store, name, version.agent_versions[agent.name], agent.adapter)
