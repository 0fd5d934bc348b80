"""Reads the config that a run stored in MLflow, also if an earlier version of maft stored it."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel

from agents.debate.settings import DebateSettings
from infra.config.sections import kinds_of

T = TypeVar("T", bound=BaseModel)


def read_stored(model: type[T], text: str) -> T:
    """Read a config from JSON text.

    Before version 0.2, the fields of the debate were at the top level, and an engine had the fields of all engines.

    Raises:
        pydantic.ValidationError: the text is not a config of this class.
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
