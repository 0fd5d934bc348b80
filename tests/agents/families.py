"""Tiny models for tests of training, which use the tokenizer of the embedded model."""

from typing import Any

import torch

from tests.families import models

VOCABULARY = 512
"""Tokens of the embedded model's tokenizer."""
SIZES = {**models.SIZES, "vocab_size": VOCABULARY}
PLAIN = (
    "llama3", "qwen2", "qwen3", "mistral", "phi3", "glm4", "gpt2", "gpt-neox", "falcon", "stablelm", "nemotron",
)  # fmt: skip
"""Models without experts and without dropout."""
EXPERTS = ("qwen3-moe", "deepseek-v3", "mixtral", "gpt-oss")
"""Models with experts, each of which gets a part of the tokens."""
DROPOUT = "dropout"
"""A Llama with dropout."""
FAMILIES = (*PLAIN, *EXPERTS, DROPOUT)


def tiny(family: str) -> Any:
    """A model of the family; the same weights at every call."""
    if family == DROPOUT:
        return models.tiny("llama3", vocab_size=VOCABULARY, attention_dropout=0.1)
    return models.tiny(family, vocab_size=VOCABULARY)


def on_meta(family: str) -> Any:
    """The same model without weights."""
    with torch.device("meta"):
        return tiny(family)
