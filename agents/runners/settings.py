"""The fields of the config section `runner` that all runners share; each runner has its own file in this folder.

A step divides its work into parts, and the runner decides where each part is done: in this process, or on machines of a
cluster. A part is a function of the project and what it is given; the results come back in the order of the parts, so
no result depends on the runner.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agents.engines.base_model import DType
from agents.engines.protocol import OnProgress

if TYPE_CHECKING:
    from agents.run import Run


@dataclass(frozen=True)
class Part:
    """A part of a step's work.

    Args:
        given: what the function is given besides the run; it can be pickled.
        size: how much work it is, beside the other parts of the step.
        adapters: the digests of the adapters that it needs.
    """

    given: Any
    size: float
    adapters: frozenset[str] = frozenset()


Work = Callable[["Run", Any, OnProgress], Any]
"""A function at the top of a module: takes a run, `Part.given` and a callback for (done, total); its result can be
pickled."""


class Runner(BaseModel):
    """The devices that do the work, and how they work. Only `dtype` changes results; `identify_bases` takes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset({"name", "device", "batch_rows", "threads"})

    name: str = Field(title="Runner", description="The name of the runner; each runner describes itself.")
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
        """Refuse what is not there, before anything is loaded.

        Raises:
            EngineError: the message says what is missing, and what to set instead.
            BaseModelError: `dtype` is nf4, and bitsandbytes is not installed.
        """
        raise NotImplementedError

    @property
    def places(self) -> int:
        """How many parts can be done at once; a step divides its work by it."""
        return 1

    @property
    def portions(self) -> int:
        """Into how many portions a step divides requests, at most; in one portion, an engine orders them itself."""
        return 1

    @property
    def of_one_place(self) -> "Runner":
        """How one of its places works, in this process; a preview measures that."""
        return self

    def who_works(self) -> str:
        """What does the work at present, such as `3 of 4 actors`; empty if it is this process."""
        return ""

    def do(self, work: Work, run: "Run", parts: Sequence[Part], on_progress: OnProgress) -> list[Any]:
        """The results of `work` on each part, in the order of the parts.

        Args:
            work: a function at the top of a module.
            run: the base models, the engine and the store.
            parts: the parts, in any order.
            on_progress: called with (done, total): of a single part as the work counts, of several by their sizes.

        Raises:
            EngineError: the runner cannot be used, or gave up; what `work` raises is raised unchanged.
        """
        raise NotImplementedError


class Together:
    """Adds up the progress of several parts that are done at once or one after another."""

    def __init__(self, parts: Sequence[Part], on_progress: OnProgress) -> None:
        self.sizes = [part.size for part in parts]
        self.done = [0.0] * len(parts)
        self.on_progress = on_progress

    def tell(self, place: int, done: int, total: int) -> None:
        """Note that a part is done by `done` of `total`."""
        self.done[place] = self.sizes[place] * done / max(1, total)
        self.on_progress(round(sum(self.done)), round(sum(self.sizes)))
