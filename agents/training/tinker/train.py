"""Trains the agents of a society at a service with Tinker's API, several at a time."""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from agents.engines.base_model import Base
from agents.engines.protocol import OnProgress
from agents.engines.tinker import TinkerSettings
from agents.engines.tinker.engine import SERVICE, TinkerEngine
from agents.hosted.adapter import HostedAdapter, read_hosted, training_key
from agents.hosted.spending import Tokens, check_budget
from agents.run import Run
from agents.training.examples import encode
from agents.training.learner import Adapter, Learner
from agents.training.settings import TrainingError
from agents.training.sft.plan import TrainingPlan
from agents.training.tinker.training import Progress, ServiceTraining
from agents.training.tinker.weights import checked_weights

if TYPE_CHECKING:
    from agents.training.methods.tinker import Tinker

log = logging.getLogger("maft.training")

LOOK_SECONDS = 0.5
"""How often the progress is looked at."""


def finetune(
    run: Run, learners: Sequence[Learner], *, settings: "Tinker", base: Base, on_progress: OnProgress
) -> list[Adapter]:
    """Train an adapter for each learner; the service keeps it, and what is returned says where.

    If the training of one agent fails, those of the others are finished first, so that another try has them.

    Args:
        run: the engine, which is the service, the store and the journal.
        learners: the agents.
        settings: the method.
        base: the base of the agents.
        on_progress: called with (optimizer steps done, steps in all), summed over the learners.

    Raises:
        TrainingError: `engine.name` is not tinker, or an agent's adapter is not kept by the service.
        BudgetError: the steps that are left would pass `engine.budget`; nothing was trained.
        DivergenceError: the training of an agent diverged.
        EngineError: the service gave up.
    """
    if not isinstance(run.engine, TinkerSettings):
        raise TrainingError(f"finetune.method is tinker, but engine.name is {run.engine.name}; set it to tinker")
    engine = TinkerEngine(run.engine, base, run.store.folders)
    trainings = [_training(run, engine, learner, settings) for learner in learners]
    left = sum(training.tokens_left for training in trainings)
    if run.journal and left:
        check_budget(run.engine, spent=run.journal.spent(), wanted=Tokens(trained=left), what="the training")
    found = _all(trainings, run.engine.concurrency, on_progress)
    return [_adapter(run, training, progress) for training, progress in zip(trainings, found, strict=True)]


def _training(run: Run, engine: TinkerEngine, learner: Learner, settings: "Tinker") -> ServiceTraining:
    encoded = encode(learner.examples, engine.tokenizer)
    plan = TrainingPlan([each for each in encoded if len(each) <= engine.context], settings, learner.seed)
    before = _before(learner, engine)
    key = training_key(
        examples=list(learner.examples),
        settings={**_material(settings), "url": engine.settings.url, "base": engine.model},
        start=before.goes_on_from if before else None,
        seed=learner.seed,
    )
    return ServiceTraining(
        learner=learner,
        plan=plan,
        key=key,
        start=before.goes_on_from if before else None,
        settings=settings,
        engine=engine,
        store=run.store,
        journal=run.journal,
    )


def _material(settings: "Tinker") -> dict[str, Any]:
    """The settings that decide what is learned."""
    return settings.model_dump(mode="json", exclude=set(settings.NOT_IN_CACHE_KEY))


def _before(learner: Learner, engine: TinkerEngine) -> HostedAdapter | None:
    """The adapter that a learner goes on from; None for a new one.

    Raises:
        TrainingError: the service does not have it.
    """
    if learner.start_from is None:
        return None
    before = read_hosted(learner.start_from)
    kept = before is not None and (before.service, before.url) == (SERVICE, engine.settings.url or "")
    if before is None or not kept or before.goes_on_from is None:
        raise TrainingError(
            f"{learner.name}: its adapter is not kept by the service, so finetune.method tinker cannot go on from it; "
            "set finetune.start to base"
        )
    return before


def _all(trainings: Sequence[ServiceTraining], most: int, on_progress: OnProgress) -> list[Progress]:
    total = sum(len(training.plan.batches) for training in trainings)
    with ThreadPoolExecutor(max(1, min(most, len(trainings)))) as pool:
        running: list[Future[Progress]] = [pool.submit(training.finish) for training in trainings]
        waiting = set(running)
        try:
            while waiting:
                _, waiting = wait(waiting, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
                on_progress(sum(training.done for training in trainings), total)
        except BaseException:
            for training in trainings:
                training.stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
    errors = [each.exception() for each in running]
    failed = [place for place, error in enumerate(errors) if error]
    for place in failed[1:]:
        log.error("%s: %s", trainings[place].learner.name, errors[place])
    return [running[place].result() for place in [*failed, *range(len(running))]]


def _adapter(run: Run, training: ServiceTraining, progress: Progress) -> Adapter:
    learner, plan, engine = training.learner, training.plan, training.engine
    if not plan.batches or progress.speaks_as is None:
        return Adapter({}, 0, len(learner.examples), 0, None, None)
    hosted = HostedAdapter(
        service=SERVICE,
        url=engine.settings.url or "",
        base=engine.model,
        speaks_as=progress.speaks_as,
        goes_on_from=progress.state,
        made_by=progress.run,
        learned=training.key,
        settings=_material(training.settings),
    )
    started = time.monotonic()
    weights, apart = checked_weights(run, training, progress.speaks_as)
    if weights:
        log.info("%s: weights fetched and checked in %.1f s", learner.name, time.monotonic() - started)
        hosted = hosted.model_copy(update={"nats_apart": apart})
    per_epoch = len(plan.batches) // plan.settings.epochs
    return Adapter(
        files=hosted.files(weights),
        examples=len(plan.examples),
        skipped=len(learner.examples) - len(plan.examples),
        tokens=plan.tokens,
        first_loss=sum(progress.losses[:per_epoch]) / per_epoch,
        last_loss=sum(progress.losses[-per_epoch:]) / per_epoch,
    )
