"""What every step of Algorithm 1 works with: the base models, the engine, and where the work is done and kept."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from agents.engines.base_model import Bases
from agents.engines.protocol import Completion, OnProgress, Request, Sampling
from agents.engines.settings import EngineSettings
from agents.store import Store

if TYPE_CHECKING:
    from agents.algorithm import Steps

Progress = Callable[[str], AbstractContextManager[OnProgress]]
"""From what a step is called to the callback that it tells (done, total)."""


class Runner(BaseModel):
    """Where and in what portions the work is done. Nothing here changes a result."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Runner")

    device: str = Field(
        default="auto", title="Device", description="auto (CUDA where there is one), cpu, cuda or cuda:N."
    )
    batch_rows: int = Field(
        default=200, ge=1, le=65_536, title="Prompts per batch", description="Prompts decoded at once."
    )


@contextmanager
def silent(label: str) -> Iterator[OnProgress]:
    """Progress that nobody hears of."""
    yield lambda done, total: None


@dataclass(frozen=True)
class Run:
    """The surroundings of a step, the same for all steps of a job but for `label`.

    Args:
        steps: the six steps: `agents.steps`, or the same as Prefect tasks, `tasks.steps`.
        bases: of the society's agents.
        engine: what the agents speak through.
        store: keeps what the steps make.
        runner: where the work is done.
        name: what the whole is called, such as the society.
        label: what the present work is called, such as `iteration 2`.
        progress: hears how far a step is.
    """

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset({"steps", "store", "runner", "name", "label", "progress"})

    steps: "Steps"
    bases: Bases
    engine: EngineSettings
    store: Store
    runner: Runner = field(default_factory=Runner)
    name: str = ""
    label: str = ""
    progress: Progress = silent

    def called(self, label: str) -> "Run":
        """The same surroundings for work that is called so."""
        return replace(self, label=label)

    def complete(self, requests: list[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """The engine's answers, in the order of the requests.

        Raises:
            EngineError: the engine cannot be used, or gave up.
        """
        engine = self.engine.open(self.bases, self.runner, self.store.folders)
        return engine.complete(requests, sampling, on_progress)
