"""Trains agents by the jobs of a service, each job once: what was begun is taken up again after a kill.

For each agent, a file with its examples, a job, and the name of a model. Notes under the order's key say which file and
which job there are, and are written before the job is waited for. What no note says, because the process was killed or
an answer was lost, is found at the service, under the same key. An agent whose job fails does not stop the others.
"""

import json
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from agents.engines.base_model import Base, load_tokenizer
from agents.engines.protocol import EngineError, OnProgress
from agents.hosted.adapter import HostedAdapter, read_hosted, training_key
from agents.hosted.http import Server
from agents.hosted.spending import Tokens, check_budget
from agents.run import Run
from agents.split import Example
from agents.training.examples import encode
from agents.training.jobs.dialects import DIALECTS
from agents.training.jobs.protocol import Job, Order, Service
from agents.training.jobs.under_way import UnderWay
from agents.training.jobs.waiting import wait_for
from agents.training.learner import Adapter, Learner
from agents.training.methods.jobs import Jobs
from agents.training.settings import TrainingError
from evaluation.record import Record

logger = logging.getLogger("maft.training")


class _Begun(Record):
    """What is known of an order that was begun."""

    file: str
    job: str | None = None


@dataclass(frozen=True)
class _Pupil:
    learner: Learner
    order: Order
    tokens: int
    """Tokens to be read in training, prompts included, over all epochs."""


def train(
    run: Run, learners: Sequence[Learner], settings: Jobs, *, base: Base, on_progress: OnProgress
) -> list[Adapter]:
    """An adapter for each learner, in the order of the learners; one with too few examples has an empty one.

    Args:
        run: the store for notes, the journal of what was paid, and the engine, which may have a budget.
        learners: the agents.
        settings: the service, and how it trains.
        base: their base model, whose tokenizer counts the tokens.
        on_progress: called with (jobs that have ended, jobs in all).

    Raises:
        BudgetError: the training would cost more than is left of `engine.budget`; nothing was sent.
        TrainingError: jobs failed; the message has a line for each, with the service's reason. The others are kept.
        EngineError: no key is set.
    """
    kind = DIALECTS[settings.service]
    enough = []
    for learner in learners:
        if len(learner.examples) >= kind.least_examples:
            enough.append(learner)
        else:
            logger.warning(
                "%s stays as it is: it has %d examples, and %s takes at least %d; raise problems.train_size to have "
                "more",
                learner.name,
                len(learner.examples),
                settings.service,
                kind.least_examples,
            )
    pupils = _pupils(enough, settings, base)
    _check_budget(run, pupils)
    adapters = dict(zip(map(id, enough), _train(run, pupils, settings, on_progress), strict=True))
    nothing = Adapter(files={}, examples=0, skipped=0, tokens=0, first_loss=None, last_loss=None)
    return [adapters.get(id(learner), nothing) for learner in learners]


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


def _pupils(learners: Sequence[Learner], settings: Jobs, base: Base) -> list[_Pupil]:
    tokenizer = load_tokenizer(base.source, base.trust_remote_code, base.chat_template, weights=False)
    pupils = []
    for learner in learners:
        start, hyperparameters = _start(learner, settings), DIALECTS[settings.service].hyperparameters(settings)
        decides = {"service": settings.service, "url": settings.url, "model": settings.model, **hyperparameters}
        order = Order(
            key=training_key(examples=learner.examples, settings=decides, start=start, seed=learner.seed),
            agent=learner.name,
            model=start or settings.model,
            is_base=start is None,
            seed=learner.seed,
            hyperparameters=hyperparameters,
        )
        tokens = settings.epochs * sum(map(len, encode(learner.examples, tokenizer)))
        pupils.append(_Pupil(learner, order, tokens))
    return pupils


def _start(learner: Learner, settings: Jobs) -> str | None:
    """The service's name of the model that the learner goes on from; None for the base.

    Raises:
        TrainingError: the adapter is not at this service.
    """
    if learner.start_from is None:
        return None
    hosted = read_hosted(learner.start_from)
    if hosted is None or (hosted.service, hosted.url) != (settings.service, settings.url):
        where = f"{hosted.service} at {hosted.url}" if hosted else "this machine"
        raise TrainingError(
            f"finetune.start is previous, but the adapter of {learner.name} is kept by {where}, not by "
            f"{settings.service} at {settings.url}; set finetune.start to base"
        )
    return hosted.goes_on_from


def _check_budget(run: Run, pupils: Sequence[_Pupil]) -> None:
    if run.journal is None:
        return
    unpaid = [pupil for pupil in pupils if not run.journal.trained(pupil.order.key)]
    wanted = Tokens(trained=sum(pupil.tokens for pupil in unpaid))
    check_budget(run.engine, spent=run.journal.spent(), wanted=wanted, what=f"the training of {len(unpaid)} agents")


def _train(run: Run, pupils: Sequence[_Pupil], settings: Jobs, on_progress: OnProgress) -> list[Adapter]:
    if not pupils:
        return []
    kind = DIALECTS[settings.service]
    under_way = UnderWay(run.store, run.journal.folder.name if run.journal else None, settings)
    with Server(settings, section="finetune", variable=kind.variable) as server:
        learning = _Learning(run, kind(server, settings), server, settings, under_way)
        pool = ThreadPoolExecutor(min(settings.concurrency, len(pupils)))
        futures = [pool.submit(learning.adapter, pupil) for pupil in pupils]
        try:
            for done, _ in enumerate(as_completed(futures), 1):
                on_progress(done, len(futures))
        except KeyboardInterrupt:
            logger.warning("interrupted; jobs that were begun go on at the service, and the same command takes them up")
            raise
        finally:
            server.stop()
            pool.shutdown(cancel_futures=True)
    return _results(pupils, futures)


def _results(pupils: Sequence[_Pupil], futures: "Sequence[Future[Adapter]]") -> list[Adapter]:
    failed = {}
    for pupil, future in zip(pupils, futures, strict=True):
        error = future.exception()
        if isinstance(error, EngineError | TrainingError):
            failed[pupil.learner.name] = error
        elif error:
            raise error
    if failed:
        kept = len(pupils) - len(failed)
        raise TrainingError(
            "\n".join(f"{name}: {error}" for name, error in failed.items())
            + f"\n{kept} other agents are trained and kept; the same command trains the rest"
        )
    return [future.result() for future in futures]


@dataclass(frozen=True)
class _Learning:
    """How an agent learns, in a thread of its own."""

    run: Run
    service: Service
    server: Server
    settings: Jobs
    under_way: UnderWay

    def adapter(self, pupil: _Pupil) -> Adapter:
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
        if self.run.journal and not self.run.journal.trained(order.key):
            self.run.journal.train(order.key, tokens)
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

    def _begun(self, pupil: _Pupil) -> Job:
        """The order's job, which is started unless it is there."""
        order, service = pupil.order, self.service
        name = f"job-{order.key}.json"
        content = self.run.store.noted(name)
        begun = _Begun.model_validate_json(content) if content else None
        job = service.look(begun.job) if begun and begun.job else None
        if begun is None or job is None or job.state == "failed":
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
