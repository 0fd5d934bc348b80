"""The registry of engines; each engine has its own file or package in this folder."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from agents.engines.settings import EngineSettings
from evaluation.registry import Registry

ENGINES: Registry[type[EngineSettings]] = Registry("engine", "agents.engines")


def engine_of(given: Any) -> Any:
    """The settings of the engine that a mapping names; anything else is returned as it is."""
    return ENGINES[str(given.get("name"))].model_validate(given) if isinstance(given, Mapping) else given


AnyEngine = Annotated[SerializeAsAny[EngineSettings], BeforeValidator(engine_of)]
"""A field that holds the settings of any engine, also when it is read from JSON."""
