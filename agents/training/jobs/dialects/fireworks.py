"""Fireworks' datasets and supervised finetuning jobs (https://docs.fireworks.ai/fine-tuning/fine-tuning-via-api).

Datasets, jobs and models have ids that the client chooses, so nothing can be made twice: the ids have the order's key.
A finetuned model speaks only on a deployment of its base that was made with `--enable-addons`; up to 100 share one.
"""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlencode

from pydantic import BaseModel, Field, JsonValue

from agents.hosted.errors import PassingError, RefusedError
from agents.training.jobs.dialects import DIALECTS
from agents.training.jobs.protocol import Job, Order
from agents.training.jobs.reading import read
from agents.training.jobs.waiting import wait_for

if TYPE_CHECKING:
    from agents.hosted.http import Server
    from agents.training.methods.jobs import Jobs

JOBS = "supervisedFineTuningJobs"
_ENDS = {
    "JOB_STATE_COMPLETED": "done",
    "JOB_STATE_EARLY_STOPPED": "done",
    "JOB_STATE_FAILED": "failed",
    "JOB_STATE_CANCELLED": "failed",
    "JOB_STATE_CANCELLING": "failed",
    "JOB_STATE_EXPIRED": "failed",
    "JOB_STATE_DELETING": "failed",
}


class _Status(BaseModel):
    code: str | None = None
    message: str | None = None


class _Job(BaseModel):
    name: str = Field(min_length=1)
    state: str = "JOB_STATE_UNSPECIFIED"
    output_model: str | None = Field(default=None, alias="outputModel")
    status: _Status | None = None


class _Dataset(BaseModel):
    state: str = "STATE_UNSPECIFIED"


class _DeployedModel(BaseModel):
    model: str = ""
    deployment: str = ""
    state: str = "STATE_UNSPECIFIED"


class _DeployedModels(BaseModel):
    deployed_models: list[_DeployedModel] = Field(default=[], alias="deployedModels")


@DIALECTS.add("fireworks")
class Fireworks:
    """Fireworks."""

    variable: ClassVar[str] = "FIREWORKS_API_KEY"
    least_examples: ClassVar[int] = 3
    takes: ClassVar[frozenset[str]] = frozenset({"epochs", "batch_size", "learning_rate", "rank", "deployment"})

    def __init__(self, server: "Server", settings: "Jobs") -> None:
        self.server, self.every, self.hours = server, settings.poll_seconds, settings.longest_hours
        self.deployment = settings.deployment
        self.account = _account(settings.url)

    @classmethod
    def check(cls, settings: "Jobs") -> None:
        """Refuse a URL without the account.

        Raises:
            ValueError: it has none.
        """
        _account(settings.url)

    @classmethod
    def hyperparameters(cls, settings: "Jobs") -> dict[str, JsonValue]:
        """Those of a job; it has no seed."""
        return {
            "epochs": settings.epochs,
            "learningRate": settings.learning_rate,
            "loraRank": settings.rank,
            "batchSizeSamples": settings.batch_size,
        }

    def upload(self, order: Order, content: bytes) -> str:
        """Make a dataset whose id has the order's key, unless it is there; return its name.

        Raises:
            EngineError: the service refuses the dataset, or cannot be reached.
        """
        from agents.hosted.http import Upload

        id_ = _id(order)
        path = f"/datasets/{id_}"
        dataset = self._there(path)
        if dataset is None:
            about = {"userUploaded": {}, "format": "CHAT", "exampleCount": str(content.count(b"\n"))}
            self._make("/datasets", {"datasetId": id_, "dataset": about})
            dataset = _Dataset()
        if dataset.state != "READY":
            # The same content again does no harm.
            self.server.call("POST", f"{path}:upload", Upload(f"{id_}.jsonl", content, {}))
            self._until("READY", lambda: read(_Dataset, self.server, self.server.call("GET", path)).state, path)
        return f"{self.account}{path}"

    def find(self, order: Order, file: str) -> Job | None:
        """The job whose id has the order's key; one that failed makes way for one with the next number."""
        *_, (_, job) = self._numbered(order)
        return job

    def start(self, order: Order, file: str) -> Job:
        """Start a job whose id has the order's key."""
        *_, (id_, _) = self._numbered(order)
        start = {"baseModel": order.model} if order.is_base else {"warmStartFrom": order.model}
        body = {
            "dataset": file,
            "displayName": f"maft {order.agent}",
            "outputModel": f"{self.account}/models/{id_}",
            **start,
            **order.hyperparameters,
        }
        path = f"/{JOBS}?{urlencode({'supervisedFineTuningJobId': id_})}"
        try:
            return self._job(read(_Job, self.server, self.server.once("POST", path, body)))
        except RefusedError as refused:
            if refused.status == 409:
                raise PassingError(f"job {id_} is there already") from None
            raise

    def look(self, job: str) -> Job | None:
        """The job with this id."""
        try:
            return self._job(read(_Job, self.server, self.server.call("GET", f"/{JOBS}/{job}")))
        except RefusedError as refused:
            if refused.status == 404:
                return None
            raise

    def cancel(self, job: str) -> None:
        """End a job."""
        self.server.call("POST", f"/{JOBS}/{job}:cancel", {})

    def name(self, model: str) -> str:
        """Load the model onto the deployment, if one is set; return `MODEL#DEPLOYMENT`.

        Raises:
            EngineError: the deployment does not take it.
        """
        if self.deployment is None:
            return model
        deployment = f"{self.account}/deployments/{self.deployment}"
        loaded = f"{model}#{deployment}"
        query = urlencode({"filter": f'model="{model}" AND deployment="{deployment}"'})

        def state() -> str:
            there = read(_DeployedModels, self.server, self.server.call("GET", f"/deployedModels?{query}"))
            found = [each for each in there.deployed_models if (each.model, each.deployment) == (model, deployment)]
            return found[0].state if found else ""

        if not state():
            self._make("/deployedModels", {"model": model, "deployment": deployment})
        self._until("DEPLOYED", state, loaded)
        return loaded

    def _numbered(self, order: Order) -> Iterator[tuple[str, Job | None]]:
        """Ids of jobs of the order, with the job: those that failed, then the one that did not, or None."""
        number = 1
        while True:
            id_ = _id(order, number)
            job = self.look(id_)
            yield id_, job
            if job is None or job.state != "failed":
                return
            number += 1

    def _there(self, path: str) -> _Dataset | None:
        try:
            return read(_Dataset, self.server, self.server.call("GET", path))
        except RefusedError as refused:
            if refused.status == 404:
                return None
            raise

    def _make(self, path: str, body: dict[str, object]) -> None:
        """Make what has an id of its own; it may be there already, after a lost answer."""
        try:
            self.server.call("POST", path, body)
        except RefusedError as refused:
            if refused.status != 409:
                raise

    def _until(self, last: str, state: Callable[[], str], what: str) -> None:
        wait_for(self.server, state, lambda now: now == last, what=what, every=self.every, hours=self.hours)

    def _job(self, told: _Job) -> Job:
        id_ = told.name.rpartition("/")[2]
        state = _ENDS.get(told.state, "waiting")
        said = told.status.message if told.status and told.status.message else f"the service says {told.state}"
        model = told.output_model or f"{self.account}/models/{id_}"
        return Job.model_validate(
            {
                "id": id_,
                "state": state,
                "reason": self.server.shown(said) if state == "failed" else "",
                "model": model if state == "done" else None,
            }
        )


def _id(order: Order, number: int = 1) -> str:
    """An id, which has at most 63 letters, digits and hyphens."""
    return f"maft-{order.key[:40]}{'' if number == 1 else f'-{number}'}"


def _account(url: str) -> str:
    """The resource name of the account in the URL."""
    found = re.search(r"/(accounts/[^/]+)$", url)
    if not found:
        raise ValueError(
            f"finetune.url is {url}, which names no account; set it to https://api.fireworks.ai/v1/accounts/ACCOUNT"
        )
    return found[1]
