"""How agents learn from their own words: the settings of finetuning."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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
