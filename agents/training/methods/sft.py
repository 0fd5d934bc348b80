"""Supervised finetuning, the paper's method: an agent learns its own words that match the consensus."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, Field

from agents.engines.protocol import OnProgress
from agents.training.methods import METHODS
from agents.training.own_words import OwnWords

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from agents.training.adapters import Trained
    from agents.training.learner import Learner


@METHODS.add("sft")
class Sft(OwnWords):
    """All agents of a base are trained together, each as if it were alone."""

    model_config = ConfigDict(title="sft")

    method: Literal["sft"] = Field(
        default="sft", title="Method", description="an agent learns its own words that match the consensus."
    )

    def why_one_at_a_time(self, model: "PreTrainedModel") -> str | None:
        """The result of a small trial, see `agents.training.sft.trial`."""
        # Imported here, since it imports torch, which takes seconds.
        from agents.training.adapters import lora_config
        from agents.training.sft.trial import why_one_at_a_time

        return why_one_at_a_time(model, [lora_config(self)])

    def train(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        learners: "Sequence[Learner]",
        on_progress: OnProgress,
    ) -> "list[Trained]":
        """Train all learners in the same passes if the model allows it, see `agents.training.sft.train`."""
        # Imported here, since it imports torch, which takes seconds.
        from agents.training.sft.train import finetune

        return finetune(model, tokenizer, learners, self, on_progress)
