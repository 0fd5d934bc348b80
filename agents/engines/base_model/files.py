"""Finds the folder of a base model: the embedded one, a local one, or the snapshot of a hub's cache."""

import os
import re
from pathlib import Path

from agents.engines.base_model.record import BaseModelError

EMBEDDED = Path(__file__).parents[2] / "embedded"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?", re.ASCII)


def locate(base_model: str, field: str = "base_model") -> Path | None:
    """The folder of a local base model, None for a hub id.

    Raises:
        BaseModelError: the name is neither; the message names the config field `field`.
    """
    if base_model == "embedded":
        return EMBEDDED
    folder = Path(base_model).expanduser()
    if os.path.isdir(folder):  # noqa: PTH112  (Path.is_dir raises an error for a name that is too long)
        return folder.resolve()
    if not _HUB_ID.fullmatch(base_model):
        raise BaseModelError(
            f"{field}: {base_model!r} is neither `embedded`, nor a folder that exists, nor a hub id like org/name"
        )
    return None


def folder_of(base_model: str, field: str = "base_model", *, weights: bool = True) -> Path:
    """The folder of a base model; a model of a hub is fetched if it is not in the cache, without `weights` only its
    small files.

    Raises:
        BaseModelError: there is no such model, or the hub cannot be reached; the message names the config field.
    """
    from agents.engines.base_model.hub import snapshot

    return locate(base_model, field) or snapshot(base_model, field, weights=weights)
