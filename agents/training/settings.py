"""The fields of the config section `finetune` that all methods share; each method has its own file in `methods`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from agents.debate.responses import Said
from agents.engines.protocol import OnProgress
from agents.engines.settings import EngineSettings
from agents.society import Agent
from evaluation.problems.problem import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from agents.engines.base_model import Base
    from agents.run import Run
    from agents.training.adapters import Trained
    from agents.training.learner import Adapter, Learner

ALL_LINEAR: Literal["all-linear"] = "all-linear"


class TrainingError(ValueError):
    """Agents cannot be trained with these settings; the message names the field and says what would be right."""


def _modules(given: Any) -> Any:
    """Refuse any other value with one message, where the types would give one for each."""
    named = isinstance(given, list) and given and all(isinstance(name, str) and name for name in given)
    if not named and given != ALL_LINEAR:
        raise ValueError(f"it should be {ALL_LINEAR}, or a list of names such as [q_proj, v_proj]")
    return given


Modules = Literal["all-linear"] | list[str]


class FinetuneSettings(BaseModel):
    """How agents learn from their own words: the method, its datasets and its training.

    A new method is a file with a subclass, registered under the name that `finetune.method` takes; `methods/dpo.py` is
    an example.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    asks_service: ClassVar[bool] = False
    """Whether a service trains, so that no model is loaded here, whichever the runner."""

    method: str = Field(title="Method", description="The name of the method; each method describes itself.")
    learning_rate: float = Field(
        default=1e-3,
        gt=0.0,
        le=1.0,
        title="Learning rate",
        description="Peak learning rate; it rises for the first 5 % of the steps, then falls to zero along a cosine.",
    )
    epochs: int = Field(
        default=3, ge=1, le=1000, title="Epochs", description="Passes over an agent's dataset (paper: 2)."
    )
    batch_size: int = Field(default=4, ge=1, le=4096, title="Batch size", description="Examples per optimizer step.")
    min_votes: int = Field(
        default=2,
        ge=1,
        title="Votes needed",
        description="Number of agents that must agree for a consensus to be learned from (paper: 1).",
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
        description="Whether an agent's adapter starts anew (base) or from its previous generation (previous).",
    )
    rank: int = Field(default=16, ge=1, le=1024, title="LoRA rank", description="LoRA r, the rank.")
    alpha: float = Field(
        default=32.0, gt=0.0, title="LoRA alpha", description="LoRA alpha; the update is scaled by alpha / r."
    )
    target_modules: Annotated[Modules, BeforeValidator(_modules, json_schema_input_type=Modules)] = Field(
        default=ALL_LINEAR,
        title="LoRA modules",
        description="Layers that LoRA adapts: all-linear (every linear layer but the output head; experts and routers "
        "too), or a list of their names.",
    )
    gradient_checkpointing: bool = Field(
        default=False,
        title="Gradient checkpointing",
        description="Recompute layers for their gradients: takes a third more time and a fraction of the memory.",
    )

    on_divergence: Literal["stop", "halve"] = Field(
        default="stop",
        title="On divergence",
        description="What to do if an agent's loss or gradient is no longer finite: stop the job with an error, or "
        "train the agent once more from its start, at half the learning rate (halve).",
    )

    def check(self, engine: EngineSettings) -> None:
        """Refuse an engine that cannot speak with what this method makes.

        Raises:
            TrainingError: the message names both, and says what to set.
        """

    def check_key(self) -> None:
        """Refuse a method that asks a service for which no key is set.

        Raises:
            EngineError: the message names the environment variable.
        """

    def why_one_at_a_time(self, model: "PreTrainedModel") -> str | None:
        """Why agents of this base model have to be trained one at a time; None if they can be trained together.

        The model stays unchanged. A method that trains agents together decides it here.
        """
        return f"finetune.method {self.method} trains them so"

    def dataset(
        self,
        agent: Agent,
        problems: Sequence[Problem],
        said: Said,
        *,
        consensus: Mapping[str, str],
        seed: int,
    ) -> pd.DataFrame:
        """The dataset of one agent, with a row for each example.

        Args:
            agent: the agent that learns from the dataset.
            problems: the training problems.
            said: the responses of all agents in all rounds.
            consensus: y^ by problem id; a problem without a consensus is not in it and enters no dataset.
            seed: the seed of any random draw among the examples.

        Returns:
            A frame with the column `messages`, a conversation as JSON whose last message is learned, and any columns
            that the method adds.
        """
        raise NotImplementedError

    def train(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        learners: "Sequence[Learner]",
        on_progress: OnProgress,
    ) -> "list[Trained]":
        """Train an adapter for each learner, in the order of the learners; the base model stays unchanged.

        Args:
            model: a base model in memory.
            tokenizer: its tokenizer.
            learners: the agents of this base.
            on_progress: called with (optimizer steps done, steps in all), summed over the learners.
        """
        raise NotImplementedError

    def adapters(
        self, run: "Run", learners: "Sequence[Learner]", *, base: "Base", on_progress: OnProgress
    ) -> "list[Adapter]":
        """As `train`, on the base model of the learners in this process; a method that asks a service does it there.

        Args:
            run: the base models and the store.
            learners: the agents of this base.
            base: their base.
            on_progress: as in `train`.
        """
        # Imported here, since it imports torch, which takes seconds and is not needed by a job served from cache.
        from agents.engines.transformers.resident import resident

        engine = resident(run.bases, run.runner, run.store.folders).of(run.bases.each.index(base))
        return [each.adapter() for each in self.train(engine.model, engine.tokenizer, learners, on_progress)]
