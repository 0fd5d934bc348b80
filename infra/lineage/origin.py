"""The society of a registered generation, checked against a config, with its adapters in a store."""

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
    if origin.base_sha256 != bases.sha256:
        names = origin.base_model.splitlines()
        right = f"base_models to {names}" if len(names) > 1 else "base_model to that model"
        raise UserError(
            f"{'base_models' if config.base_models else 'base_model'} is {', '.join(config.bases)!r}, but {where} was "
            f"tuned on {', '.join(names)!r} with other weights; set {right}, or start_from to base"
        )
    if len(origin.society.generators) != config.agents:
        raise UserError(
            f"agents is {config.agents}, but {where} has {len(origin.society.generators)} generation agents; "
            "set agents to that number, or start_from to base"
        )
    fetch_adapters(origin, store)
    return origin.society


def fetch_adapters(version: SocietyVersion, store: Store) -> None:
    """Fetch every adapter of a registered generation into the store."""
    for agent in version.society.agents:
        if agent.adapter:
            name = model_name(version.name, agent.name)
            fetch_adapter(store, name, version.agent_versions[agent.name], agent.adapter)
