"""Find, check and load the base models that agents share."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from evaluation.record import Record

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EMBEDDED = Path(__file__).parent.parent / "embedded"
_KEPT_SUFFIXES = {".safetensors", ".json", ".jinja", ".model", ".txt"}

BaseModelName = Annotated[str, Field(min_length=1)]
BASE_MODEL: Any = Field(
    default="embedded",
    min_length=1,
    title="Base model",
    description="embedded, a local folder, or a hub id such as org/name.",
)
BASE_MODELS: Any = Field(
    default=[],
    title="Different base models",
    description="Base models to use instead of base_model. The generators take them in turn, and so do the critics, "
    "starting again from the first if there are fewer models than agents. Empty: all agents use base_model.",
)
TRUST_REMOTE_CODE = Field(
    default=False, title="Trust remote code", description="Whether a hub model may run its own code."
)


class BaseModelError(ValueError):
    """The configured base model cannot be used; the message says why, and what to set instead."""


class Base(Record):
    """A base model: its name and its digest."""

    name: str
    sha256: str
    trust_remote_code: bool = False


class Bases(Record):
    """The base models of a society, given to its agents in turn: agent n has `each[n % len(each)]`."""

    each: tuple[Base, ...] = Field(min_length=1)

    def of(self, index: int) -> Base:
        """The base of the generator and the critic with this index."""
        return self.each[index % len(self.each)]

    @classmethod
    def read(cls, name: str, sha256: str, trust_remote_code: bool) -> "Bases":
        """The bases with these `name` and `sha256` properties."""
        lines = zip(name.splitlines(), sha256.splitlines(), strict=True)
        return cls(each=tuple(Base(name=n, sha256=s, trust_remote_code=trust_remote_code) for n, s in lines))

    @property
    def name(self) -> str:
        """The names of the bases, one per line."""
        return "\n".join(base.name for base in self.each)

    @property
    def sha256(self) -> str:
        """The digests of the bases, one per line."""
        return "\n".join(base.sha256 for base in self.each)


def identify_bases(names: Sequence[str], trust_remote_code: bool) -> Bases:
    """Check base models and compute their digests.

    Raises:
        BaseModelError: see `check`.
    """
    check_all(names)
    each = [Base(name=name, sha256=digest(name), trust_remote_code=trust_remote_code) for name in names]
    return Bases(each=tuple(each))


def locate(base_model: str, field: str = "base_model") -> Path | None:
    """The folder of a local base model, None for a hub id; an error names the config field `field`."""
    if base_model == "embedded":
        return EMBEDDED
    folder = Path(base_model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if base_model.startswith((".", "/", "~")) or base_model.count("/") != 1:
        raise BaseModelError(
            f"{field}: {base_model!r} is neither `embedded`, nor a folder that exists, nor a hub id like org/name"
        )
    return None


def check_all(names: Sequence[str]) -> None:
    """Apply `check` to all base models of a society."""
    for name in names:
        check(name, "base_models" if len(names) > 1 else "base_model")


def check(base_model: str, field: str = "base_model") -> None:
    """Refuse a local folder that cannot be a base model, before any weights are loaded.

    Raises:
        BaseModelError: a local folder has no config, no safetensors weights or no chat template.
    """
    folder = locate(base_model, field)
    if folder is None:
        return
    if not (folder / "config.json").is_file():
        raise BaseModelError(f"{field}: {folder} has no config.json; a folder written by save_pretrained is needed")
    if not any(folder.glob("*.safetensors")):
        raise BaseModelError(f"{field}: {folder} has no *.safetensors; weights in other formats are not loaded")
    tokenizer_config = folder / "tokenizer_config.json"
    in_config = tokenizer_config.is_file() and "chat_template" in json.loads(tokenizer_config.read_text("utf-8"))
    if not in_config and not (folder / "chat_template.jinja").is_file():
        raise BaseModelError(
            f"{field}: {folder} has no chat template; use an instruct model, or save its tokenizer with a chat_template"
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
        BaseModelError: the model does not exist, or has no chat template or no safetensors weights.
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
    # Adapters record this name as their base, so it is the configured name, not a folder of this machine.
    model.name_or_path = base_model
    return model.to(device).eval().requires_grad_(False), tokenizer
