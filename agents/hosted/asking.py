"""Asks a service many things at once, and nothing twice."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Protocol

from agents.engines.protocol import Completion, EngineError, OnProgress, Request, Sampling
from agents.engines.settings import EngineSettings
from agents.hosted.journal import Journal, request_digest
from agents.hosted.spending import check_budget, expected


class StoppedError(EngineError):
    """A request was not sent, or not sent again, since another one failed for good."""


class Asking(Protocol):
    """An engine whose completions come one by one, in any order."""

    def each(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """The place of each request, with its completion."""
        ...


def at_once(
    ask: Callable[[Request], Completion], requests: Sequence[Request], *, most: int, stop: Callable[[], None]
) -> Iterator[tuple[int, Completion]]:
    """The place of each request with its completion, as they come.

    Args:
        ask: asks for one, in a thread of its own.
        requests: any number.
        most: how many are asked for at a time.
        stop: ends the requests that wait; called at the end, also after an error.

    Raises:
        EngineError: the first error of `ask` ends the whole batch, after the requests already sent have ended.
    """
    # Threads, not an event loop: the caller's thread may run a loop itself.
    pool = ThreadPoolExecutor(min(most, len(requests)))
    asked = {pool.submit(ask, request): place for place, request in enumerate(requests)}
    try:
        for each in as_completed(asked):
            if not isinstance(each.exception(), StoppedError):  # That is raised by the request that failed.
                yield asked[each], each.result()
    finally:
        stop()
        pool.shutdown(cancel_futures=True)


def collect(
    come: Iterator[tuple[int, Completion]], requests: Sequence[Request], on_progress: OnProgress
) -> list[Completion]:
    """The completions in the order of the requests."""
    found: dict[int, Completion] = {}
    for place, completion in come:
        found[place] = completion
        on_progress(len(found), len(requests))
    return [found[place] for place in range(len(requests))]


def ask_once(  # noqa: PLR0913, what `complete` takes, and where it is kept
    engine: Asking,
    requests: Sequence[Request],
    sampling: Sampling,
    *,
    settings: EngineSettings,
    journal: Journal,
    on_progress: OnProgress,
) -> list[Completion]:
    """Completions in the order of the requests; those that an earlier try got are not asked for again.

    Raises:
        BudgetError: the requests would pass `engine.budget`; nothing was asked.
        EngineError: see the engine; what came before the error is kept.
    """
    told = settings_text(settings)
    digests = [request_digest(request, sampling, told) for request in requests]
    step = hashlib.sha256("".join(digests).encode()).hexdigest()[:32]
    kept = journal.said(step)
    missing = [place for place, digest in enumerate(digests) if digest not in kept]
    found = {place: kept[digest] for place, digest in enumerate(digests) if digest in kept}
    wanted = [requests[place] for place in missing]
    if wanted:
        spent = journal.spent()
        what = f"the next {len(wanted):,} responses"
        check_budget(settings, spent=spent, wanted=expected(wanted, spent), what=what)
        for number, completion in engine.each(wanted, sampling):
            place = missing[number]
            journal.hear(step, requests[place], digest=digests[place], completion=completion)
            found[place] = completion
            on_progress(len(found), len(requests))
    return [found[place] for place in range(len(requests))]


def settings_text(settings: EngineSettings) -> str:
    """The settings of an engine that decide what it says."""
    return json.dumps(settings.model_dump(mode="json", exclude=set(settings.NOT_IN_CACHE_KEY)), sort_keys=True)
