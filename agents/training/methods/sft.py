"""Supervised finetuning, the paper's method: an agent learns its own words that match the consensus."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import pandas as pd
from pydantic import ConfigDict, Field

from agents.debate.responses import Said
from agents.engines.protocol import OnProgress
from agents.society import Agent
from agents.split import own_words
from agents.training.methods import METHODS
from agents.training.settings import FinetuneSettings
from evaluation.problems.problem import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from agents.training.adapters import Trained
    from agents.training.learner import Learner


@METHODS.add("sft")
class Sft(FinetuneSettings):
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

    def dataset(
        self,
        agent: Agent,
        problems: Sequence[Problem],
        said: Said,
        *,
        consensus: Mapping[str, str],
        seed: int,
    ) -> pd.DataFrame:
        """The dataset D_n of one agent, see `agents.split.own_words`."""
        examples = own_words(agent, problems, said, consensus=consensus, critic_mix=self.critic_mix, seed=seed)
        return pd.DataFrame({"messages": [json.dumps(example) for example in examples]}, dtype="object")

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
