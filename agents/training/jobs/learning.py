"""How one agent learns: a file with its examples, a job, and the name of a model.

Notes under the order's key say which file and which job there are, and are written before the job is waited for. What
no note says, because the process was killed or an answer was lost, is found at the service, under the same key.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from agents.hosted.adapter import HostedAdapter
from agents.hosted.http import Server
from agents.run import Run
from agents.split import Example
from agents.training.jobs.protocol import Job, Order, Service
from agents.training.jobs.under_way import UnderWay
from agents.training.jobs.waiting import wait_for
from agents.training.learner import Adapter, Learner
from agents.training.methods.jobs import Jobs
from agents.training.settings import TrainingError
from evaluation.record import Record


class _Begun(Record):
    """What is known of an order that was begun."""

    file: str
    job: str | None = None


@dataclass(frozen=True)
class Pupil:
    """An agent and its order."""

    learner: Learner
    order: Order
    tokens: int
    """Tokens to be read in training, prompts included, over all epochs."""


@dataclass(frozen=True)
class Learning:
    """How an agent learns, in a thread of its own."""

    run: Run
    service: Service
    server: Server
    settings: Jobs
    under_way: UnderWay

    def adapter(self, pupil: Pupil) -> Adapter:
        """The agent's model, when its job has ended.

        Raises:
            TrainingError: the job failed; the message has the service's reason.
            EngineError: the service refuses something, or cannot be reached.
        """
        order, settings = pupil.order, self.settings
        job = self._ended(self._begun(pupil))
        self.under_way.remove(order)
        if job.state == "failed" or job.model is None:
            raise TrainingError(f"job {job.id} of {settings.service} failed: {job.reason or 'it made no model'}")
        tokens = job.trained_tokens or pupil.tokens
        journal = self.run.journal
        if journal and journal.began(order.key) and not journal.trained(order.key):
            journal.train(order.key, tokens)
        hosted = HostedAdapter(
            service=settings.service,
            url=settings.url,
            base=settings.model,
            speaks_as=self.service.name(job.model),
            goes_on_from=job.model,
            made_by=job.id,
            learned=order.key,
            settings={**order.hyperparameters},
        )
        number = len(pupil.learner.examples)
        return Adapter(hosted.files(), number, skipped=0, tokens=tokens, first_loss=None, last_loss=None)

    def _begun(self, pupil: Pupil) -> Job:
        """The order's job, which is started unless it is there."""
        order, service = pupil.order, self.service
        name = _note(order)
        content = self.run.store.noted(name)
        begun = _Begun.model_validate_json(content) if content else None
        job = service.look(begun.job) if begun and begun.job else None
        if begun is None or job is None or job.state == "failed":
            if self.run.journal:  # Otherwise another job began this training, and paid for it.
                self.run.journal.train(order.key, 0)
            file = service.upload(order, file_of(pupil.learner.examples))
            self.run.store.note(name, _Begun(file=file).model_dump_json().encode())
            self.under_way.add(order, file)
            job = self.server.again("a job", lambda: service.find(order, file) or service.start(order, file))
            self.run.store.note(name, _Begun(file=file, job=job.id).model_dump_json().encode())
        else:
            self.under_way.add(order, begun.file)
        return job

    def _ended(self, job: Job) -> Job:
        """The job, when it has ended."""
        if job.state != "waiting":
            return job
        settings = self.settings

        def look() -> Job:
            found = self.service.look(job.id)
            if found is None:
                raise TrainingError(f"job {job.id} of {settings.service} is gone; the same command starts another")
            return found

        return wait_for(
            self.server,
            look,
            lambda found: found.state != "waiting",
            what=f"job {job.id}",
            every=settings.poll_seconds,
            hours=settings.longest_hours,
        )


def given(run: Run, pupil: Pupil) -> bool:
    """Whether a file with the agent's examples was given to the service, by this job or another one."""
    return run.store.noted(_note(pupil.order)) is not None


def _note(order: Order) -> str:
    return f"job-{order.key}.json"


def file_of(examples: Sequence[Example]) -> bytes:
    """A file of conversations, one a line, of which only the last turn is learned: the others have the weight 0."""
    lines = [
        [
            {**message, "weight": int(place == len(example) - 1)} if message["role"] == "assistant" else {**message}
            for place, message in enumerate(example)
        ]
        for example in examples
    ]
    return "".join(json.dumps({"messages": line}, ensure_ascii=False) + "\n" for line in lines).encode()
