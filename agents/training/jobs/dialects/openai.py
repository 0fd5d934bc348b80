"""OpenAI's files and finetuning jobs, which Azure speaks too at `https://RESOURCE.openai.azure.com/openai/v1`.

https://developers.openai.com/api/reference/resources/fine_tuning
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel, Field, JsonValue

from agents.hosted.errors import RefusedError
from agents.training.jobs.dialects import DIALECTS
from agents.training.jobs.protocol import Job, Order
from agents.training.jobs.reading import read
from agents.training.jobs.waiting import wait_for
from agents.training.settings import TrainingError

if TYPE_CHECKING:
    from agents.hosted.http import Server
    from agents.training.methods.jobs import Jobs

MARK = "maft"
"""The key under which a job's metadata has the order's key."""
PAGE = 100
"""Files or jobs in one answer."""
_BEING_READ = {"pending", "running", "notRunning"}
_ENDS = {"succeeded": "done", "failed": "failed", "cancelled": "failed"}


class _Error(BaseModel):
    message: str | None = None
    param: str | None = None


class _Job(BaseModel):
    id: str = Field(min_length=1)
    status: str
    fine_tuned_model: str | None = None
    trained_tokens: int | None = None
    training_file: str | None = None
    metadata: dict[str, str] | None = None
    error: _Error | None = None


class _Jobs(BaseModel):
    data: list[_Job]
    has_more: bool = False


class _File(BaseModel):
    id: str = Field(min_length=1)
    filename: str = ""
    status: str = "processed"
    status_details: str | None = None


class _Files(BaseModel):
    data: list[_File]
    has_more: bool = False


@DIALECTS.add("openai")
class OpenAI:
    """OpenAI, and Azure under its `/openai/v1`."""

    variable: ClassVar[str] = "OPENAI_API_KEY"
    least_examples: ClassVar[int] = 10
    takes: ClassVar[frozenset[str]] = frozenset({"epochs", "batch_size", "learning_rate_multiplier"})

    def __init__(self, server: "Server", settings: "Jobs") -> None:
        self.server, self.every, self.hours = server, settings.poll_seconds, settings.longest_hours

    @classmethod
    def check(cls, settings: "Jobs") -> None:
        """All settings of the fields that it takes are fine."""

    @classmethod
    def hyperparameters(cls, settings: "Jobs") -> dict[str, JsonValue]:
        """Those of `method.supervised`; a multiplier that is not set is the service's choice."""
        own: dict[str, JsonValue] = {"n_epochs": settings.epochs, "batch_size": settings.batch_size}
        if settings.learning_rate_multiplier is not None:
            own["learning_rate_multiplier"] = settings.learning_rate_multiplier
        return own

    def upload(self, order: Order, content: bytes) -> str:
        """Send the file under a name with the order's key, unless it is there.

        Raises:
            EngineError: the service refuses the file, or cannot be reached.
            TrainingError: the service cannot read the file.
        """
        from agents.hosted.http import Upload

        name = f"{MARK}-{order.key}.jsonl"
        sent = Upload(name, content, {"purpose": "fine-tune"})

        def send() -> _File:
            return self._file(name) or read(_File, self.server, self.server.once("POST", "/files", sent))

        file = self.server.again("/files", send)
        # Azure refuses a job whose file it has not read yet; OpenAI reads the file as a part of the job.
        if file.status in _BEING_READ:
            file = wait_for(
                self.server,
                lambda: read(_File, self.server, self.server.call("GET", f"/files/{quote(file.id)}")),
                lambda found: found.status not in _BEING_READ,
                what=f"file {file.id}",
                every=self.every,
                hours=self.hours,
            )
        if file.status in {"error", "failed"}:
            reason = self.server.shown(file.status_details or "no reason given")
            raise TrainingError(f"{order.agent}: the service cannot read file {file.id}: {reason}")
        return file.id

    def find(self, order: Order, file: str) -> Job | None:
        """A job with the order's key in its metadata, or on its file, which has the key in its name."""
        mine = (
            _job(self.server, each)
            for each in self._jobs(order.key)
            if (each.metadata or {}).get(MARK) == order.key or each.training_file == file
        )
        return next((job for job in mine if job.state != "failed"), None)

    def start(self, order: Order, file: str) -> Job:
        """Start a job with the order's key in its metadata."""
        body = {
            "model": order.model,
            "training_file": file,
            "suffix": f"{MARK}-{order.agent}",
            "seed": order.seed % 2**31,
            "method": {"type": "supervised", "supervised": {"hyperparameters": dict(order.hyperparameters)}},
            "metadata": {MARK: order.key},
        }
        return _job(self.server, read(_Job, self.server, self.server.once("POST", "/fine_tuning/jobs", body)))

    def look(self, job: str) -> Job | None:
        """The job with this id."""
        try:
            content = self.server.call("GET", f"/fine_tuning/jobs/{quote(job)}")
        except RefusedError as refused:
            if refused.status == 404:
                return None
            raise
        return _job(self.server, read(_Job, self.server, content))

    def cancel(self, job: str) -> None:
        """End a job; one that has ended stays as it is."""
        self.server.call("POST", f"/fine_tuning/jobs/{quote(job)}/cancel")

    def name(self, model: str) -> str:
        """The model's own name; at Azure, a deployment of this name has to be made first."""
        return model

    def _jobs(self, key: str) -> Iterator[_Job]:
        """The jobs of this key, the newest first; those of others too if the service does not select by metadata."""
        after: dict[str, str] = {}
        while True:
            query = urlencode({"limit": str(PAGE), f"metadata[{MARK}]": key, **after})
            page = read(_Jobs, self.server, self.server.call("GET", f"/fine_tuning/jobs?{query}"))
            yield from page.data
            if not page.has_more or not page.data:
                return
            after = {"after": page.data[-1].id}

    def _file(self, name: str) -> _File | None:
        after: dict[str, str] = {}
        while True:
            query = urlencode({"purpose": "fine-tune", "order": "desc", "limit": str(PAGE), **after})
            page = read(_Files, self.server, self.server.call("GET", f"/files?{query}"))
            found = [file for file in page.data if file.filename == name and file.status not in {"error", "deleted"}]
            if found or not page.has_more or not page.data:
                return found[0] if found else None
            after = {"after": page.data[-1].id}


def _job(server: "Server", told: _Job) -> Job:
    reason = told.error.message if told.error and told.error.message else f"the service says {told.status}"
    state = _ENDS.get(told.status, "waiting")
    return Job.model_validate(
        {
            "id": told.id,
            "state": state,
            "reason": server.shown(reason) if state == "failed" else "",
            "model": told.fine_tuned_model,
            "trained_tokens": told.trained_tokens,
        }
    )
