"""What every step of Algorithm 1 uses: the base models, the engine, the store and the device."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agents.debate.prompts import DEFAULT, Prompts
from agents.engines.base_model import Bases, DType
from agents.engines.base_model.nf4 import check_installed
from agents.engines.protocol import Completion, EngineError, OnProgress, Request, Sampling
from agents.engines.settings import EngineSettings
from agents.store import Store
from evaluation.answers.grader import Grader
from evaluation.answers.kinds.math import MATH

if TYPE_CHECKING:
    from agents.algorithm import Steps

Progress = Callable[[str], AbstractContextManager[OnProgress]]
"""Takes the name of a step; gives, as a context, the callback that the step calls with (done, total)."""


class Runner(BaseModel):
    """The device that does the work, and how it works. Only `dtype` changes results; `identify_bases` takes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Runner")

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset({"device", "batch_rows", "threads"})

    device: str = Field(
        default="auto", title="Device", description="auto (CUDA if there is a GPU, else cpu), cpu, cuda or cuda:N."
    )
    dtype: DType = Field(
        default="auto",
        title="Type of numbers",
        description="float32; bfloat16, which takes half the memory; nf4, four bits a weight, as in QLoRA (extra nf4). "
        "Each changes the results. auto: float32 on a CPU, the checkpoint's own type on CUDA.",
    )
    batch_rows: int = Field(
        default=200, ge=1, le=65_536, title="Prompts per batch", description="Prompts decoded at once."
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        title="Threads",
        description="Threads of the CPU. None: as many as torch takes, one for each core. Another number rounds "
        "sums in another order, so adapters differ in their last digits.",
    )

    @field_validator("device")
    @classmethod
    def _known(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", device, re.ASCII):
            raise ValueError("it must be auto, cpu, cuda or cuda:N")
        return device

    def check(self) -> None:
        """Refuse a device that this machine does not have, before anything is loaded.

        Raises:
            EngineError: the message says which devices there are.
            BaseModelError: `dtype` is nf4, and bitsandbytes is not installed.
        """
        if self.dtype == "nf4":
            check_installed()
        if not self.device.startswith("cuda"):
            return
        import torch

        number, there = int(self.device.partition(":")[2] or 0), torch.cuda.device_count()
        if number >= there:
            found = f"only {there} GPUs" if there else "no GPU"
            raise EngineError(f"runner.device is {self.device}, but torch finds {found} here; set it to auto or cpu")


@contextmanager
def silent(label: str) -> Iterator[OnProgress]:
    """Progress that is not shown."""
    yield lambda done, total: None


@dataclass(frozen=True)
class Run:
    """What a step uses besides its inputs; the same for all steps of a job, except for `label`.

    Args:
        steps: the steps of Algorithm 1: the plain functions of `agents.steps`, or the Prefect tasks of `tasks.steps`.
        bases: the base models of the society.
        engine: the engine that samples the agents' responses.
        store: keeps the results of the steps.
        prompts: what the agents are asked.
        answers: finds the answers in the responses, and decides which are the same.
        runner: the device, and how it works.
        name: the name of the job, such as the name of the society.
        label: the name of the current work, such as `iteration 2`.
        progress: shows the progress of a step.
    """

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset({"steps", "store", "runner", "name", "label", "progress"})

    steps: "Steps"
    bases: Bases
    engine: EngineSettings
    store: Store
    prompts: Prompts = DEFAULT
    answers: Grader = MATH
    runner: Runner = field(default_factory=Runner)
    name: str = ""
    label: str = ""
    progress: Progress = silent

    def labelled(self, label: str) -> "Run":
        """The same run with another label."""
        return replace(self, label=label)

    def complete(self, requests: list[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """The engine's answers, in the order of the requests.

        Raises:
            EngineError: the engine cannot be used, or gave up.
        """
        engine = self.engine.open(self.bases, self.runner, self.store.folders)
        return engine.complete(requests, sampling, on_progress)
