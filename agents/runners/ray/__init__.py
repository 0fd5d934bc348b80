"""The runner for several machines: actors of a Ray cluster, each with the base models in its memory."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator

from agents.engines.protocol import EngineError, OnProgress
from agents.runners.local import Local
from agents.runners.ray.environment import has_token, is_address, token_file
from agents.runners.ray.link import Job, driver_of, present
from agents.runners.registry import RUNNERS
from agents.runners.settings import Part, Runner, Work

if TYPE_CHECKING:
    from agents.run import Run

PORTIONS = 2
"""Portions of requests for each actor. More would divide the work more evenly, but small ones are decoded slower."""


@RUNNERS.add("ray")
class Ray(Runner):
    """Divides the work among actors of a Ray cluster; a lost actor's part is done again by another one."""

    model_config = ConfigDict(title="ray")

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = Runner.NOT_IN_CACHE_KEY | {
        "address",
        "actors",
        "cpus",
        "gpus",
        "resources",
        "wait_seconds",
    }

    name: Literal["ray"] = Field(default="ray", title="Runner", description="actors of a Ray cluster (extra ray).")
    address: str | None = Field(
        default=None,
        title="Address",
        description="HOST:PORT of the cluster's head, of which this machine is a node. None: actors on this machine "
        "alone, which end with the job.",
    )
    actors: int = Field(
        default=2, ge=1, le=4096, title="Actors", description="Processes that each have the base models in memory."
    )
    cpus: float = Field(default=1.0, gt=0.0, le=1024.0, title="CPUs", description="CPUs that an actor takes.")
    gpus: float = Field(
        default=0.0, ge=0.0, le=64.0, title="GPUs", description="GPUs that an actor takes, or a part of one."
    )
    resources: dict[str, float] = Field(
        default={}, title="Resources", description="Other resources of the cluster's nodes that an actor takes."
    )
    wait_seconds: int = Field(
        default=600,
        ge=1,
        title="Longest wait",
        description="Seconds that a job waits for the first actor, or for another one when it has lost all.",
    )

    @field_validator("address")
    @classmethod
    def _whole(cls, address: str | None) -> str | None:
        if address is not None and not is_address(address):
            raise ValueError("it must be HOST:PORT, such as 10.0.0.1:6379")
        return address

    @property
    def places(self) -> int:
        """One for each actor."""
        return self.actors

    @property
    def portions(self) -> int:
        """More than places, so that a lost actor loses little, and the others can take what is left."""
        return PORTIONS * self.actors

    @property
    def of_one_place(self) -> Local:
        """How an actor works."""
        return Local(
            device=self.device if self.device != "auto" else "cuda" if self.gpus else "cpu",
            dtype=self.dtype,
            batch_rows=self.batch_rows,
            threads=self.threads or max(1, int(self.cpus)),
        )

    def check(self) -> None:
        """Refuse a Python without Ray, and a machine without the token of its cluster.

        Raises:
            EngineError: Ray is not installed, or there is no token.
        """
        if find_spec("ray") is None:
            raise EngineError(
                "Ray is not installed here; install it by `.venv/bin/pip install -c constraints.txt -e '.[ray]'`"
            )
        if self.address and not has_token():
            raise EngineError(
                f"runner.address is {self.address}, but there is no token in {token_file()}; copy this file from the "
                "head of the cluster"
            )

    def who_works(self) -> str:
        """How many actors work at present; empty before the first work."""
        return present(self)

    def do(self, work: Work, run: "Run", parts: Sequence[Part], on_progress: OnProgress) -> list[Any]:
        """The results of `work` on each part, computed by actors; see `agents.runners.ray.pool`."""
        self.check()
        driver = driver_of(Job(self, run.bases, run.engine))
        return driver.do(work, parts, run.store, on_progress)
