"""Configs that a run left in MLflow, read back though they may be of an earlier version of maft."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel

from agents.debate.settings import DebateSettings
from infra.config.sections import kinds_of

T = TypeVar("T", bound=BaseModel)


def read_stored(model: type[T], text: str) -> T:
    """The config that `text`, JSON, holds.

    Until version 0.2 the fields of a debate lay at the top, and an engine had the fields of all engines.

    Raises:
        pydantic.ValidationError: it is no such config.
    """
    tree: dict[str, Any] = json.loads(text)
    flat = {name: tree.pop(name) for name in DebateSettings.model_fields if name in tree}
    if flat:
        tree["debate"] = flat
    for name, section in tree.items():
        kinds = kinds_of(model, name)
        if kinds and isinstance(section, dict):
            fields = kinds.registry[section.get(kinds.tag, kinds.default)].model_fields
            tree[name] = {key: value for key, value in section.items() if key in fields}
    return model.model_validate(tree)
