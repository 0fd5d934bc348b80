"""Supervised finetuning at a service that takes files and jobs: an agent learns its own words on others' machines."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from agents.engines.openai import OpenAISettings
from agents.engines.protocol import OnProgress
from agents.engines.settings import EngineSettings
from agents.hosted.keys import api_key
from agents.hosted.urls import base_url, same_server
from agents.training.jobs.dialects import DIALECTS
from agents.training.methods import METHODS
from agents.training.own_words import OwnWords
from agents.training.settings import TrainingError
from evaluation.registry import OneOf

if TYPE_CHECKING:
    from agents.engines.base_model import Base
    from agents.run import Run
    from agents.training.learner import Adapter, Learner

TUNING = (
    "learning_rate",
    "learning_rate_multiplier",
    "epochs",
    "batch_size",
    "rank",
    "alpha",
    "target_modules",
    "gradient_checkpointing",
    "on_divergence",
    "deployment",
)
"""Fields that not every service has a setting for."""
PLACEHOLDER = re.compile(r"\b(ACCOUNT|MODEL|RESOURCE)\b")
"""What the services' own pages, and ours, write for a user's own name."""


@METHODS.add("jobs")
class Jobs(OwnWords):
    """Each agent's examples are a file, its training is a job, and the job's model is the agent."""

    model_config = ConfigDict(title="jobs")

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset(
        {"concurrency", "timeout_seconds", "attempts", "poll_seconds", "longest_hours"}
    )

    asks_service: ClassVar[bool] = True

    method: Literal["jobs"] = Field(
        default="jobs",
        title="Method",
        description="an agent learns its own words that match the consensus, by a job of a finetuning service.",
    )
    service: Annotated[str, OneOf(DIALECTS)] = Field(
        title="Service", description="Whose files and jobs the server speaks; openai is Azure's too."
    )
    url: str = Field(
        max_length=2000,
        title="Server",
        description="Base URL such as https://api.openai.com/v1 or https://api.fireworks.ai/v1/accounts/ACCOUNT. The "
        "key comes from OPENAI_API_KEY or FIREWORKS_API_KEY.",
    )
    model: str = Field(
        min_length=1, max_length=500, title="Model", description="The service's name of the base model to finetune."
    )
    learning_rate: float = Field(
        default=1e-4,
        gt=0.0,
        le=1.0,
        title="Learning rate",
        description="Peak learning rate, where the service has it; 0.0001 by default.",
    )
    learning_rate_multiplier: float | None = Field(
        default=None,
        gt=0.0,
        title="Learning rate multiplier",
        description="Multiplies the service's own learning rate, where it has this. None: the service chooses.",
    )
    deployment: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]{1,63}$",
        title="Deployment",
        description="Id of the deployment that finetuned models are loaded onto, where the service needs one.",
    )
    concurrency: int = Field(
        default=8, ge=1, le=256, title="Jobs at once", description="How many jobs are given and waited for at once."
    )
    timeout_seconds: float = Field(
        default=120.0, gt=0.0, le=3600.0, title="Time-out", description="Longest wait for one answer, in seconds."
    )
    attempts: int = Field(
        default=5,
        ge=1,
        le=20,
        title="Attempts",
        description="How often a request is tried if the service is busy, fails or cannot be reached.",
    )
    poll_seconds: float = Field(
        default=15.0, gt=0.0, le=3600.0, title="Seconds between looks", description="How often a job is looked at."
    )
    longest_hours: float = Field(
        default=24.0, gt=0.0, le=720.0, title="Longest job", description="Longest wait for a job, in hours."
    )

    _whole_url = field_validator("url")(base_url)

    @model_validator(mode="after")
    def _fits_the_service(self) -> "Jobs":
        kind, fields = DIALECTS[self.service], type(self).model_fields
        for name in ("url", "model"):
            if left := PLACEHOLDER.search(getattr(self, name)):
                raise ValueError(
                    f"finetune.{name} is {getattr(self, name)!r}, where {left[0]} stands for a name of your own; put "
                    "that there"
                )
        kind.check(self)
        for name in TUNING:
            if name not in kind.takes and getattr(self, name) != fields[name].default:
                raise ValueError(
                    f"finetune.{name} is {getattr(self, name)!r}, but {self.service} has no such setting; leave it out"
                )
        return self

    def check(self, engine: EngineSettings) -> None:
        """Refuse an engine that does not ask the same server, or takes any base model that the server has.

        Raises:
            TrainingError: the message names both fields, and says what to set.
        """
        if not isinstance(engine, OpenAISettings):
            raise TrainingError(f"finetune.method is jobs, but engine.name is {engine.name}; set engine.name to openai")
        if not same_server(engine.url, self.url):
            raise TrainingError(
                f"finetune.url is {self.url}, but engine.url is {engine.url}, which is another server and does not "
                "have the models that are finetuned there; set engine.url to the same server"
            )
        if engine.model is None:
            raise TrainingError(
                f"finetune.model is {self.model}, but engine.model is not set; set it to the name under which this "
                "model speaks before it is finetuned"
            )

    def check_key(self) -> None:
        """Refuse a server on another machine if no key is set.

        Raises:
            EngineError: the key is missing, or has characters that cannot be sent.
        """
        api_key(self.url, section="finetune", variable=DIALECTS[self.service].variable)

    def adapters(
        self, run: "Run", learners: "Sequence[Learner]", *, base: "Base", on_progress: OnProgress
    ) -> "list[Adapter]":
        """Train by jobs, see `agents.training.jobs.train`."""
        # Imported here, since it imports transformers, which takes seconds.
        from agents.training.jobs.train import train

        return train(run, learners, self, base=base, on_progress=on_progress)
