"""Fetches a base model from a Hugging Face hub before it is identified, so that what is loaded is what was identified.

A snapshot in the hub's cache is used as it is, without asking the hub: a society continues on the commit that it began
with when the hub's `main` moves. `hf download org/name` updates the cache.
"""

import hashlib
from pathlib import Path

from agents.engines.base_model.record import BaseModelError, FilesError
from agents.engines.base_model.weights import INDEX, WHOLE, shard_names, weight_files

_SMALL = ["*.json", "*.jinja", "*.model", "*.txt", "*.py"]
_ELSEWHERE = ["*/*"]
"""Files in folders of a repository are weights in other formats, and the like."""
_GIT_SHA_CHARS = 40


def snapshot(base_model: str, field: str, *, weights: bool = True) -> Path:
    """The folder of a hub model in the hub's cache; its name is the commit.

    Args:
        base_model: `org/name`, or `org/name@revision` with a branch, a tag or a commit; default: main.
        field: the config field, for messages.
        weights: whether the weights are needed; else only the small files are fetched, such as the tokenizer.

    Raises:
        BaseModelError: there is no such model or revision, or it is not in the cache and the hub cannot be reached.
    """
    repository, _, revision = base_model.partition("@")
    return _cached(repository, revision or "main", weights) or _fetched(repository, revision or "main", field, weights)


def check_unaltered(folder: Path, field: str) -> None:
    """Refuse a snapshot with a small file that is not the one of its commit, such as an edited chat template.

    The cache names a small file by its digest in git. It names the others, such as weights, by their SHA-256; they are
    not read for this check.

    Raises:
        BaseModelError: a file was changed.
    """
    for file in sorted(folder.iterdir()):
        blob = file.resolve().name
        if not file.is_symlink() or len(blob) != _GIT_SHA_CHARS:
            continue
        content = file.read_bytes()
        if hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() != blob:
            raise BaseModelError(
                f"{field}: {file} was changed after it came from the hub; delete it to fetch it again, or copy the "
                f"folder and set {field} to the copy"
            )


def _cached(repository: str, revision: str, weights: bool) -> Path | None:
    """The snapshot in the cache; None if there is none or it is not complete."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(
            repository, revision=revision, local_files_only=True, allow_patterns=_SMALL, ignore_patterns=_ELSEWHERE
        )
        folder = Path(found)
        if weights:
            weight_files(folder)
    except (LocalEntryNotFoundError, HFValidationError, FilesError):
        return None
    return folder if all((folder / name).is_file() for name in ("config.json", "tokenizer_config.json")) else None


def _fetched(repository: str, revision: str, field: str, weights: bool) -> Path:
    """The snapshot, fetched: small files first, and then the weights that they name."""
    from huggingface_hub import snapshot_download

    # The base class of the errors of the HTTP client, of which there are two, by the version of huggingface_hub.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        found = snapshot_download(repository, revision=revision, allow_patterns=_SMALL, ignore_patterns=_ELSEWHERE)
        folder = Path(found)
        if not weights:
            return folder
        files = shard_names(folder) if (folder / INDEX).is_file() else [WHOLE]
        # By the commit, since a branch may have moved meanwhile.
        return Path(snapshot_download(repository, revision=folder.name, allow_patterns=files))
    except (OSError, ValueError, HTTPError) as error:
        raise BaseModelError(
            f"{field}: {repository}@{revision} is no folder here and cannot be fetched from the hub "
            f"({_first_line(error)}); check the name, the network and HF_TOKEN, or set {field} to a folder"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
