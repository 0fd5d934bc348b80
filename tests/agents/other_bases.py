"""Makes other base models from the embedded one, or from another one with its tokenizer."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from agents.engines import base_model

WEIGHTS = "model.safetensors"
EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"


def copied(folder: Path, base: Path = base_model.EMBEDDED) -> Path:
    """Copy the model, so that it has another name."""
    shutil.copytree(base, folder)
    return folder


def perturbed(folder: Path, base: Path = base_model.EMBEDDED, share: float = 0.05) -> Path:
    """A model with slightly other weights: each is changed by a share of the standard deviation of its matrix."""
    copied(folder, base)
    generator = torch.Generator().manual_seed(1)
    weights = load_file(folder / WEIGHTS)
    for weight in weights.values():
        if weight.dim() == 2:
            weight += share * weight.std() * torch.randn(weight.shape, generator=generator)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    return folder


def renumbered(folder: Path, base: Path = base_model.EMBEDDED) -> Path:
    """The model with other token ids: greedily decoded texts are the same, but every token id differs."""
    copied(folder, base)
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text("utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    special = {token["content"] for token in tokenizer["added_tokens"]}
    own = [token for token in vocabulary if token not in special]
    new = {token: vocabulary[other] for token, other in zip(own, [*own[1:], own[0]], strict=True)}
    weights = load_file(folder / WEIGHTS)
    rows = torch.arange(len(weights[EMBEDDING]))
    rows[[new[token] for token in own]] = torch.tensor([vocabulary[token] for token in own])
    for matrix in weights.keys() & {EMBEDDING, HEAD}:
        weights[matrix] = weights[matrix][rows].contiguous()
    tokenizer["model"]["vocab"] = dict(sorted({**vocabulary, **new}.items(), key=lambda item: item[1]))
    file.write_text(json.dumps(tokenizer, ensure_ascii=False), "utf-8")
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    return folder


def widened(folder: Path) -> Path:
    """The embedded model with room for eight more tokens, which its tokenizer does not have."""
    copied(folder)
    weights = load_file(folder / WEIGHTS)
    weights[EMBEDDING] = torch.cat([weights[EMBEDDING], torch.zeros(8, weights[EMBEDDING].shape[1])])
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": len(weights[EMBEDDING])}), "utf-8")
    return folder
