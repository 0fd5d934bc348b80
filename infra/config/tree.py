"""Turns a tree of settings into a flat dictionary."""

from collections.abc import Mapping
from typing import Any


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value of nested settings by its dotted key; an empty dictionary counts as a value.

    Args:
        tree: settings as JSON values, such as `{"finetune": {"rank": 8}}`, which gives `{"finetune.rank": 8}`.
        prefix: put before every key.
    """
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
