"""Supervised finetuning: its settings, and what an agent learns from, the last turn of its own conversations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.chat import prompt_ids
from agents.split import Example

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Finetune(BaseModel):
    """How agents learn from their own words."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Finetuning")

    method: Literal["sft", "dpo"] = Field(
        default="sft",
        title="Method",
        description="sft: an agent learns its own words that match the consensus; dpo: it learns to prefer them to its "
        "own words on the same problem that do not.",
    )
    learning_rate: float = Field(
        default=1e-3,
        gt=0.0,
        le=1.0,
        title="Learning rate",
        description="Peak; cosine to zero after a 5 % warm-up.",
    )
    epochs: int = Field(
        default=3, ge=1, le=1000, title="Epochs", description="Passes over an agent's dataset (paper: 2)."
    )
    batch_size: int = Field(default=4, ge=1, le=4096, title="Batch size", description="Examples per optimizer step.")
    min_votes: int = Field(
        default=2,
        ge=1,
        title="Votes needed",
        description="Agents that must agree for a consensus to be learned from (1 = the paper).",
    )
    critic_mix: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        title="Critic mix",
        description="w, the share of self-corrections in a critic's dataset.",
    )
    start: Literal["base", "previous"] = Field(
        default="previous",
        title="Adapters start from",
        description="Whether an agent's adapter starts anew or from its previous generation.",
    )
    rank: int = Field(default=16, ge=1, le=1024, title="LoRA rank", description="LoRA r.")
    alpha: float = Field(
        default=32.0, gt=0.0, title="LoRA alpha", description="LoRA alpha; the update is scaled by alpha / r."
    )
    target_modules: list[str] = Field(
        default=ALL_LINEAR, min_length=1, title="LoRA modules", description="Linear layers that LoRA adapts."
    )
    gradient_checkpointing: bool = Field(
        default=False,
        title="Gradient checkpointing",
        description="Compute layers again for their gradients: a third more time, a fraction of the memory.",
    )


@dataclass(frozen=True)
class Encoded:
    """One example as token ids: the prompt as inference would build it, then what is learned with the end token."""

    prompt: list[int]
    target: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target)


def encode(examples: Sequence[Example], tokenizer: "PreTrainedTokenizerBase") -> list[Encoded]:
    """Token ids of each example; the prompt's are those that inference would send."""
    if not examples:
        return []
    prompts = prompt_ids(tokenizer, [example[:-1] for example in examples])
    targets = tokenizer(
        [f"{example[-1]['content']}{tokenizer.eos_token}" for example in examples], add_special_tokens=False
    )["input_ids"]
    return [Encoded(prompt, target) for prompt, target in zip(prompts, targets, strict=True)]


def ordered_batches(encoded: Sequence[Encoded], batch_size: int, seed: int) -> list[list[Encoded]]:
    """Every example once, batches of like length (little padding) in a seeded order."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    # Shuffled before the stable sort by length, so that examples of one length change company from epoch to epoch.
    shuffled = [encoded[place] for place in torch.randperm(len(encoded), generator=generator).tolist()]
    shuffled.sort(key=len)
    batches = [shuffled[start : start + batch_size] for start in range(0, len(shuffled), batch_size)]
    return [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]


def padded(batch: Sequence[Encoded]) -> "tuple[torch.Tensor, torch.Tensor]":
    """Right-padded ids and labels, both (B, T); labels are -100 but on target tokens."""
    import torch

    width = max(map(len, batch))
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    labels = torch.full((len(batch), width), -100)
    for row, example in enumerate(batch):
        ids[row, : len(example)] = torch.tensor(example.prompt + example.target)
        labels[row, len(example.prompt) : len(example)] = torch.tensor(example.target)
    return ids, labels
