"""Supervised finetuning by a service with Tinker's API, which keeps the adapters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from agents.engines.protocol import OnProgress
from agents.training.methods import METHODS
from agents.training.own_words import OwnWords

if TYPE_CHECKING:
    from agents.engines.base_model import Base
    from agents.run import Run
    from agents.training.learner import Adapter, Learner


@METHODS.add("tinker")
class Tinker(OwnWords):
    """The training of `sft`, step by step, with the service's base model and its LoRA."""

    model_config = ConfigDict(title="tinker")

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset({"save_every"})

    asks_service: ClassVar[bool] = True

    method: Literal["tinker"] = Field(
        default="tinker", title="Method", description="as sft, trained by the service of engine.name tinker."
    )
    layers: tuple[Literal["attention", "mlp", "unembedding"], ...] = Field(
        default=("attention", "mlp"),
        min_length=1,
        title="Layers",
        description="The kinds of layers that LoRA adapts; this method takes it instead of target_modules.",
    )
    losses: Literal["sum", "mean"] = Field(
        default="sum",
        title="Losses",
        description="How the service adds up a batch: sum, the weighted losses of all tokens, as Tinker does; mean, "
        "the mean of each example and then of all, as SkyRL 0.3 does. Agents learn the same, if this is what it does.",
    )
    save_every: int = Field(
        default=25,
        ge=1,
        title="Save every",
        description="Optimizer steps between two saved states, from which an interrupted training goes on.",
    )

    @model_validator(mode="after")
    def _takes(self) -> "Tinker":
        for name, instead in (
            ("alpha", "the service decides it"),
            ("target_modules", "set finetune.layers instead"),
            ("gradient_checkpointing", "the service decides it"),
            ("on_divergence", "a training that diverges stops"),
        ):
            if getattr(self, name) != type(self).model_fields[name].get_default():
                raise ValueError(f"{name} cannot be set with method tinker; {instead}")
        return self

    def adapters(
        self, run: "Run", learners: "Sequence[Learner]", *, base: "Base", on_progress: OnProgress
    ) -> "list[Adapter]":
        """Train all learners at the service, at most `engine.concurrency` at once."""
        from agents.training.tinker.train import finetune

        return finetune(run, learners, settings=self, base=base, on_progress=on_progress)
