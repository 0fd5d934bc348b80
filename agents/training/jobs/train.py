"""Trains agents by the jobs of a service, each job once: what was begun is taken up again after a kill.

Agents learn beside each other, each as in `agents.training.jobs.learning`; a job that fails does not stop the others.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from agents.engines.base_model import Base, load_tokenizer
from agents.engines.protocol import EngineError, OnProgress
from agents.hosted.adapter import read_hosted, training_key
from agents.hosted.asking import StoppedError
from agents.hosted.http import Server
from agents.hosted.spending import Tokens, check_budget
from agents.run import Run
from agents.training.examples import encode
from agents.training.jobs.dialects import DIALECTS
from agents.training.jobs.learning import Learning, Pupil, given
from agents.training.jobs.protocol import Order
from agents.training.jobs.under_way import UnderWay
from agents.training.learner import Adapter, Learner
from agents.training.methods.jobs import Jobs
from agents.training.settings import TrainingError

logger = logging.getLogger("maft.training")

LOOK_SECONDS = 0.5
"""How often the progress is told."""


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
    least = DIALECTS[settings.service].least_examples
    for learner in learners:
        if len(learner.examples) < least:
            logger.warning(
                "%s stays as it is: it has %d examples, and %s takes at least %d; raise problems.train_size to have "
                "more",
                learner.name,
                len(learner.examples),
                settings.service,
                least,
            )
    pupils = _pupils([learner for learner in learners if len(learner.examples) >= least], settings, base)
    _check_budget(run, pupils)
    trained = iter(_train(run, pupils, settings, on_progress))
    nothing = Adapter(files={}, examples=0, skipped=0, tokens=0, first_loss=None, last_loss=None)
    return [next(trained) if len(learner.examples) >= least else nothing for learner in learners]


def _pupils(learners: Sequence[Learner], settings: Jobs, base: Base) -> list[Pupil]:
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
        pupils.append(Pupil(learner, order, tokens))
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


def _check_budget(run: Run, pupils: Sequence[Pupil]) -> None:
    if run.journal is None:
        return
    unpaid = [
        pupil
        for pupil in pupils
        if not run.journal.trained(pupil.order.key) and (run.journal.began(pupil.order.key) or not given(run, pupil))
    ]
    wanted = Tokens(trained=sum(pupil.tokens for pupil in unpaid))
    check_budget(run.engine, spent=run.journal.spent(), wanted=wanted, what=f"the training of {len(unpaid)} agents")


def _train(run: Run, pupils: Sequence[Pupil], settings: Jobs, on_progress: OnProgress) -> list[Adapter]:
    if not pupils:
        return []
    kind = DIALECTS[settings.service]
    under_way = UnderWay(run.store, run.journal.folder.name if run.journal else None, settings)
    with Server(settings, section="finetune", variable=kind.variable) as server:
        learning = Learning(run, kind(server, settings), server, settings, under_way)
        pool = ThreadPoolExecutor(min(settings.concurrency, len(pupils)))
        futures = [pool.submit(learning.adapter, pupil) for pupil in pupils]
        try:
            pending = set(futures)
            while pending:
                _, pending = wait(pending, LOOK_SECONDS, FIRST_COMPLETED)
                on_progress(len(futures) - len(pending), len(futures))
        except (KeyboardInterrupt, StoppedError):
            logger.warning("interrupted; jobs that were begun go on at the service, and the same command takes them up")
            raise
        finally:
            server.stop()
            pool.shutdown(cancel_futures=True)
    return _results(pupils, futures)


def _results(pupils: Sequence[Pupil], futures: "Sequence[Future[Adapter]]") -> list[Adapter]:
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
