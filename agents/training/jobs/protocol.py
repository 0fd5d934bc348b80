"""What a service that finetunes by files and jobs can do, whichever its dialect."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from pydantic import JsonValue

from evaluation.record import Record

if TYPE_CHECKING:
    from agents.hosted.http import Server
    from agents.training.methods.jobs import Jobs


class Order(Record):
    """What a job is to do; the same order is never given twice."""

    key: str
    """SHA-256 of all that decides the result, see `agents.hosted.adapter.training_key`."""
    agent: str
    """The name of the agent, for people."""
    model: str
    """What the training starts from: the service's base model, or a model that an earlier job made."""
    is_base: bool
    seed: int
    hyperparameters: Mapping[str, JsonValue]
    """In the service's names."""


class Job(Record):
    """A job as the service last described it."""

    id: str
    state: Literal["waiting", "done", "failed"]
    """A cancelled job is failed."""
    reason: str = ""
    """Why it failed, in the service's words."""
    model: str | None = None
    """The name of the model that it made."""
    trained_tokens: int | None = None
    """Tokens that the service charges for; None if it does not say."""


class Service(Protocol):
    """A service that finetunes by files and jobs.

    No method makes anything that is there already: an upload and a job are known by the order's key, so that they are
    found again after a kill or a lost answer.
    """

    variable: ClassVar[str]
    """The environment variable with the key."""
    least_examples: ClassVar[int]
    """The smallest number of examples in a file."""
    takes: ClassVar[frozenset[str]]
    """The fields of `finetune` that the service has a setting for, among those that tune the training."""

    def __init__(self, server: "Server", settings: "Jobs") -> None:
        """A service behind this server."""

    @classmethod
    def check(cls, settings: "Jobs") -> None:
        """Refuse settings that the service cannot have.

        Raises:
            ValueError: the message names the field.
        """

    @classmethod
    def hyperparameters(cls, settings: "Jobs") -> dict[str, JsonValue]:
        """The settings that tune the training, in the service's names."""

    def upload(self, order: Order, content: bytes) -> str:
        """Send the examples, as JSONL of conversations; return the id of the file, which is ready to be learned.

        Raises:
            EngineError: the service refuses the file, or cannot be reached.
        """

    def find(self, order: Order, file: str) -> Job | None:
        """The job that was started for the order and has not failed, if there is one."""

    def start(self, order: Order, file: str) -> Job:
        """Start a job.

        Raises:
            PassingError: it may have been started or not; look with `find`.
            RefusedError: the service refuses the order.
        """

    def look(self, job: str) -> Job | None:
        """The job with this id; None if the service has none."""

    def cancel(self, job: str) -> None:
        """End a job that has not ended."""

    def name(self, model: str) -> str:
        """Make a model ready to speak; return what a request for a response names."""
