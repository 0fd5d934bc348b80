"""Completes the requests of a step: on this machine in portions, by a server, or by both beside each other."""

from typing import TYPE_CHECKING, Any

from agents.engines.portions import portions
from agents.engines.protocol import Completion, OnProgress, Request, Sampling
from agents.hosted.asking import ask_once
from agents.hosted.beside import beside
from agents.hosted.section import in_hosted
from agents.runners.settings import Part

if TYPE_CHECKING:
    from agents.run import Run


def complete(run: "Run", requests: list[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
    """See `agents.run.Run.complete`."""
    ask = _on_both_sides if run.hosted else _on_one_side
    return ask(run, requests, sampling, on_progress)


def _on_both_sides(
    run: "Run", requests: list[Request], sampling: Sampling, on_progress: OnProgress
) -> list[Completion]:
    """The service answers for its agents, and at the same time this machine for the others."""
    places: dict[bool, list[int]] = {True: [], False: []}
    for place, request in enumerate(requests):
        places[run.at_service(request.agent)].append(place)
    own = {there: [requests[place] for place in those] for there, those in places.items()}
    (_, here), (_, there) = run.sides

    def by_service(note: OnProgress) -> list[Completion]:
        with in_hosted():
            return _on_one_side(there, own[True], sampling, note)

    with beside(by_service) as service:

        def tell(done: int, _: int) -> None:
            on_progress(done + service.progress()[0], len(requests))

        said = _on_one_side(here, own[False], sampling, tell)
        heard = service.result(lambda done, _: on_progress(len(said) + done, len(requests)))
    completions = dict(zip(places[False], said, strict=True)) | dict(zip(places[True], heard, strict=True))
    return [completions[place] for place in range(len(requests))]


def _on_one_side(run: "Run", requests: list[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
    if not requests:
        return []
    if run.engine.asks_server:
        return _ask(run, requests, sampling, on_progress)
    parts = portions(requests, run.bases, number=run.runner.portions, most=run.runner.batch_rows)
    given = [[requests[place] for place in places] for places in parts]
    results = run.runner.do(
        _complete,
        run,
        [Part((own, sampling), len(own), frozenset(r.adapter for r in own if r.adapter)) for own in given],
        on_progress,
    )
    completions = {
        place: completion
        for places, result in zip(parts, results, strict=True)
        for place, completion in zip(places, result, strict=True)
    }
    return [completions[place] for place in range(len(requests))]


def _complete(run: "Run", given: tuple[list[Request], Sampling], on_progress: OnProgress) -> list[Completion]:
    requests, sampling = given
    engine = run.engine.open(run.bases, run.runner, run.store.folders)
    return engine.complete(requests, sampling, on_progress)


def _ask(run: "Run", requests: list[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
    """The answers of an engine whose work a server does; what an earlier try paid for is not asked for again."""
    run.store.fetch({request.adapter for request in requests if request.adapter})
    engine: Any = run.engine.open(run.bases, run.runner, run.store.folders)
    if run.journal is None:
        completions: list[Completion] = engine.complete(requests, sampling, on_progress)
        return completions
    return ask_once(engine, requests, sampling, settings=run.engine, journal=run.journal, on_progress=on_progress)
