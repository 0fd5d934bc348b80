"""What the section `finetune` of a config has in common for all methods; each method has its own file in `methods`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from agents.engines.protocol import OnProgress
from agents.society import Agent
from evaluation.problems.problem import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from agents.training.adapters import Learner, Trained

ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class FinetuneSettings(BaseModel):
    """How agents learn from their own words: a method, what its datasets are, and how it trains.

    A new method is a file with a subclass, registered under the name that `finetune.method` takes; `methods/dpo.py` is
    an example.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field(title="Method", description="Which method it is; each has its own words for it.")
    learning_rate: float = Field(
        default=1e-3, gt=0.0, le=1.0, title="Learning rate", description="Peak; cosine to zero after a 5 % warm-up."
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

    def dataset(
        self,
        agent: Agent,
        problems: Sequence[Problem],
        responses: pd.DataFrame,
        *,
        consensus: Mapping[str, str],
        seed: int,
    ) -> pd.DataFrame:
        """What an agent learns from: a row for each example.

        Args:
            agent: whose words they are.
            problems: the training problems.
            responses: of all agents in all rounds, columns of `agents.debate.responses.COLUMNS`.
            consensus: y^ by problem id; problems without a consensus are left out of it and so of every dataset.
            seed: of any draw among the examples.

        Returns:
            A frame with the column messages, a conversation as JSON that ends with what is learned, and others of the
            method's own.
        """
        raise NotImplementedError

    def train(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        learners: "Sequence[Learner]",
        on_progress: OnProgress,
    ) -> "list[Trained]":
        """An adapter for each learner, in their order; the base model is left as it was.

        Args:
            model: a resident base model.
            tokenizer: its tokenizer.
            learners: the agents of this base.
            on_progress: called with (optimizer steps done, steps in all), summed over the learners.
        """
        raise NotImplementedError
