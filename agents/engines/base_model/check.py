"""Refuses a base model that cannot be used, before any weights are loaded."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.engines.base_model.chat_template import read_template, variables
from agents.engines.base_model.files import folder_of
from agents.engines.base_model.record import BaseModelError, FilesError, Scalar
from agents.engines.base_model.weights import tensors, weight_files

TOKENIZER_FILES = ("tokenizer.json", "*.model", "vocab.*", "*.tiktoken", "tekken.json")
"""The files that hold the tokens of the tokenizers of transformers; only one of them must be there."""


def check_all(
    names: Sequence[str], chat_template: Mapping[str, Scalar], *, without_weights: Collection[str] = ()
) -> None:
    """Apply `check` to all base models of a society, and refuse a variable that none of their chat templates reads.

    Args:
        names: the names of the base models.
        chat_template: variables of their chat templates, with their values.
        without_weights: the names of those whose weights are not needed here.

    Raises:
        BaseModelError: see `check`; or the message names chat_template, and the variables that the templates read.
    """
    for name in dict.fromkeys(names):
        check(name, "base_models" if len(names) > 1 else "base_model", weights=name not in without_weights)
    if not chat_template:
        return
    read = {variable for name in names for variable in variables(read_template(folder_of(name, weights=False)))}
    for variable in chat_template:
        if variable not in read:
            raise BaseModelError(
                f"chat_template.{variable} is set, but the chat template of {' and '.join(dict.fromkeys(names))} does "
                f"not read {variable}; it reads {', '.join(sorted(read)) or 'no variables'}"
            )


def check(base_model: str, field: str = "base_model", *, weights: bool = True) -> None:
    """Refuse a base model for what its files tell without loading the weights; a model of a hub is fetched first.

    Raises:
        BaseModelError: there is no such model, a file is missing or damaged, the folder holds an adapter, or tokenizer
            and weights do not fit; the message names the config field `field`.
    """
    folder = folder_of(base_model, field, weights=weights)
    try:
        _check_folder(folder, weights)
    except FilesError as error:
        raise BaseModelError(f"{field}: {folder} {error}") from error


def _check_folder(folder: Path, weights: bool) -> None:
    if not (folder / "config.json").is_file():
        raise FilesError("has no config.json; a folder written by save_pretrained is needed")
    if (folder / "adapter_config.json").is_file():
        raise FilesError(
            "has an adapter (adapter_config.json) beside the weights; merge the adapter into them and save the result, "
            "or delete adapter_config.json to use the weights without it"
        )
    for file in weight_files(folder) if weights else ():
        tensors(file)
    config = _object(folder / "config.json")
    configured = folder / "tokenizer_config.json"
    own_code = "auto_map" in _object(configured) if configured.is_file() else False
    if not own_code and not any(file for name in TOKENIZER_FILES for file in folder.glob(name)):
        raise FilesError("has no tokenizer (tokenizer.json); save the model's tokenizer beside its weights")
    variables(read_template(folder))
    rows = config.get("vocab_size") or (config.get("text_config") or {}).get("vocab_size")
    if rows and (folder / "tokenizer.json").is_file():
        check_token_ids(_highest_id(_object(folder / "tokenizer.json")), rows)


def check_token_ids(highest: int, rows: int) -> None:
    """Refuse a tokenizer with a token that has no row in the embeddings.

    Args:
        highest: the highest token id.
        rows: the number of tokens that the model knows.
    """
    if highest >= rows:
        raise FilesError(
            f"has a tokenizer with token id {highest}, but embeddings of {rows} tokens; use the tokenizer that belongs "
            "to the weights, or resize the embeddings (resize_token_embeddings) and save the model"
        )


def _highest_id(tokenizer: dict[str, Any]) -> int:
    """The highest id in a tokenizer.json; -1 if it has no tokens."""
    vocabulary = tokenizer.get("model", {}).get("vocab") or {}
    own = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
    return max([*own, *(token["id"] for token in tokenizer.get("added_tokens") or ())], default=-1)


def _object(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise FilesError(f"has a {file.name} that is not JSON; copy or fetch it again") from error
    if not isinstance(read, dict):
        raise FilesError(f"has a {file.name} that is not a JSON object; copy or fetch it again")
    return read
