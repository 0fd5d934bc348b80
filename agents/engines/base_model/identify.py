"""Computes the digest of a base model, so that a changed model is never mistaken for the old one."""

import hashlib
from collections.abc import Collection, Mapping, Sequence

from agents.engines.base_model.chat_template import read_template, variables
from agents.engines.base_model.check import check_all
from agents.engines.base_model.files import folder_of, locate
from agents.engines.base_model.hub import check_unaltered, snapshot
from agents.engines.base_model.record import Base, BaseModelError, Bases, DType, Scalar

_KEPT_SUFFIXES = {".safetensors", ".json", ".jinja", ".model", ".txt"}


def identify_bases(
    names: Sequence[str],
    trust_remote_code: bool,
    *,
    dtype: DType = "auto",
    chat_template: Mapping[str, Scalar] | None = None,
    without_weights: Collection[str] = (),
) -> Bases:
    """Check base models and compute their digests; models of a hub are fetched first.

    Args:
        names: the names of the base models.
        trust_remote_code: whether they may run their own code.
        dtype: the type of their numbers.
        chat_template: variables of their chat templates, with their values; a base keeps those that its template reads.
        without_weights: the names of those whose weights are not needed here, but only their tokenizers, as with agents
            at a service.

    Raises:
        BaseModelError: see `check_all`.
    """
    wanted = chat_template or {}
    check_all(names, wanted, without_weights=without_weights)
    return Bases(
        each=tuple(
            Base(
                name=name,
                sha256=digest(name, trust_remote_code, weights=name not in without_weights),
                trust_remote_code=trust_remote_code,
                commit=None if locate(name) else snapshot(name, "base_model", weights=False).name,
                dtype=dtype,
                chat_template=_read_by(name, wanted),
            )
            for name in names
        )
    )


def check_unchanged(bases: Bases) -> None:
    """Refuse base models of a registered society whose folders have changed since.

    A model of a hub is found by its commit, so it cannot change.

    Raises:
        BaseModelError: a folder is missing or has changed; the message names it.
    """
    for base in dict.fromkeys(bases.each):
        if locate(base.source) is None:
            continue
        found = digest(base.source, base.trust_remote_code)
        if found != base.sha256:
            raise BaseModelError(
                f"base_model: {base.name!r} has digest {found[:12]}, but its society was made with "
                f"{base.sha256[:12]}; put the former base model back"
            )


def _read_by(name: str, wanted: Mapping[str, Scalar]) -> tuple[tuple[str, Scalar], ...]:
    """The variables that the chat template of a base model reads, sorted by name."""
    read = variables(read_template(folder_of(name, weights=False))) if wanted else set()
    return tuple(sorted((variable, value) for variable, value in wanted.items() if variable in read))


def digest(base_model: str, trust_remote_code: bool = False, *, weights: bool = True) -> str:
    """SHA-256 that changes when the base model does: of a folder's files, or of the hub id and the commit.

    A commit determines its files, so the digest does not depend on which of them are in the cache.

    Args:
        base_model: the name of the base model; a model of a hub is fetched if it is not in the cache.
        trust_remote_code: whether the folder's Python files are run, and so belong to the model.
        weights: whether the weights are needed; a model of a hub is then fetched with them.

    Raises:
        BaseModelError: there is no such model, or a small file in the hub's cache was changed.
    """
    folder = locate(base_model)
    hasher = hashlib.sha256()
    if folder is None:
        folder = snapshot(base_model, "base_model", weights=weights)
        check_unaltered(folder, "base_model")
        hasher.update(f"{base_model.partition('@')[0]}@{folder.name}".encode())
        return hasher.hexdigest()
    kept = _KEPT_SUFFIXES | ({".py"} if trust_remote_code else set())
    for path in sorted(p for p in folder.iterdir() if p.suffix in kept):
        hasher.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            hasher.update(hashlib.file_digest(file, "sha256").digest())
    return hasher.hexdigest()
