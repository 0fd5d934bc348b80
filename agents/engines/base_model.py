"""Finding, checking and loading the base model that all agents share."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.scores import Record

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EMBEDDED = Path(__file__).parent.parent / "embedded"
_KEPT_SUFFIXES = {".safetensors", ".json", ".jinja", ".model", ".txt"}


class BaseModelError(ValueError):
    """The configured base model cannot be used; the message says why and what would be right."""


class Base(Record):
    """The base model of a run: what it is called and what it is."""

    name: str
    sha256: str
    trust_remote_code: bool = False


def locate(base_model: str) -> Path | None:
    """The folder of a local base model, or None for a hub id."""
    if base_model == "embedded":
        return EMBEDDED
    folder = Path(base_model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if base_model.startswith((".", "/", "~")) or base_model.count("/") != 1:
        raise BaseModelError(
            f"base_model: {base_model!r} is neither `embedded`, nor a folder that exists, nor a hub id like org/name"
        )
    return None


def check(base_model: str) -> None:
    """Refuse what can be seen to be wrong before any weights are loaded.

    Raises:
        BaseModelError: a local folder without config, safetensors weights or chat template.
    """
    folder = locate(base_model)
    if folder is None:
        return
    if not (folder / "config.json").is_file():
        raise BaseModelError(f"base_model: {folder} has no config.json; a folder written by save_pretrained is needed")
    if not any(folder.glob("*.safetensors")):
        raise BaseModelError(f"base_model: {folder} has no *.safetensors; weights in other formats are not loaded")
    tokenizer_config = folder / "tokenizer_config.json"
    in_config = tokenizer_config.is_file() and "chat_template" in json.loads(tokenizer_config.read_text("utf-8"))
    if not in_config and not (folder / "chat_template.jinja").is_file():
        raise BaseModelError(
            f"base_model: {folder} has no chat template; use an instruct model, "
            "or save its tokenizer with a chat_template"
        )


def digest(base_model: str) -> str:
    """SHA-256 that changes when the base model does: of a folder's files, or of the hub id and its cached commit."""
    folder = locate(base_model)
    hasher = hashlib.sha256()
    if folder is None:
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(base_model, "config.json")
        commit = Path(cached).parent.name if isinstance(cached, str) else "latest"
        hasher.update(f"{base_model}@{commit}".encode())
        return hasher.hexdigest()
    for path in sorted(p for p in folder.iterdir() if p.suffix in _KEPT_SUFFIXES):
        hasher.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            hasher.update(hashlib.file_digest(file, "sha256").digest())
    return hasher.hexdigest()


def load(
    base_model: str, device: str, trust_remote_code: bool = False
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Load model and tokenizer; float32 on a CPU, the checkpoint's own type on CUDA. Safetensors only.

    Raises:
        BaseModelError: the model is not there, has no chat template, or no safetensors weights.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    check(base_model)
    source = str(locate(base_model) or base_model)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        model: Any = AutoModelForCausalLM.from_pretrained(
            source, use_safetensors=True, dtype=torch.float32 if device == "cpu" else "auto", **options
        )
    except OSError as error:
        raise BaseModelError(f"base_model: cannot load {base_model!r}: {str(error).splitlines()[0]}") from error
    if tokenizer.chat_template is None:
        raise BaseModelError(f"base_model: the tokenizer of {base_model!r} has no chat template; use an instruct model")
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # What adapters name as their base: the configured name, not the folder that this machine has it in.
    model.name_or_path = base_model
    return model.to(device).eval().requires_grad_(False), tokenizer
