"""What every step of Algorithm 1 uses: the base models, the engine, the store and the device."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from agents.debate.prompts import DEFAULT, Prompts
from agents.engines.base_model import Bases
from agents.engines.portions import portions
from agents.engines.protocol import Completion, OnProgress, Request, Sampling
from agents.engines.settings import EngineSettings
from agents.hosted.asking import ask_once
from agents.hosted.journal import Journal
from agents.runners.local import Local
from agents.runners.settings import Part, Runner
from agents.store import Store
from evaluation.answers.grader import Grader
from evaluation.answers.kinds.math import MATH

if TYPE_CHECKING:
    from agents.algorithm import Steps

Progress = Callable[[str], AbstractContextManager[OnProgress]]
"""Takes the name of a step; gives, as a context, the callback that the step calls with (done, total)."""


@contextmanager
def silent(label: str) -> Iterator[OnProgress]:
    """Progress that is not shown."""
    yield lambda done, total: None


@dataclass(frozen=True)
class Run:
    """What a step uses besides its inputs; the same for all steps of a job, except for `label`.

    Args:
        steps: the steps of Algorithm 1: the plain functions of `agents.steps`, or the Prefect tasks of `tasks.steps`.
        bases: the base models of the society.
        engine: the engine that samples the agents' responses.
        store: keeps the results of the steps.
        prompts: what the agents are asked.
        answers: finds the answers in the responses, and decides which are the same.
        runner: the devices that do the work, and how they work.
        name: the name of the job, such as the name of the society.
        label: the name of the current work, such as `iteration 2`.
        journal: where what a service was paid for is kept, so that it is not paid for twice; None: nowhere.
        progress: shows the progress of a step.
    """

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset(
        {"steps", "store", "runner", "name", "label", "journal", "progress"}
    )

    steps: "Steps"
    bases: Bases
    engine: EngineSettings
    store: Store
    prompts: Prompts = DEFAULT
    answers: Grader = MATH
    runner: Runner = field(default_factory=Local)
    name: str = ""
    label: str = ""
    journal: Journal | None = None
    progress: Progress = silent

    def labelled(self, label: str) -> "Run":
        """The same run with another label."""
        return replace(self, label=label)

    def complete(self, requests: list[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """The engine's answers, in the order of the requests.

        Raises:
            EngineError: the engine cannot be used, or gave up.
            BudgetError: the requests would cost more than is left of `engine.budget`.
        """
        if self.engine.asks_server:
            return _ask(self, requests, sampling, on_progress)
        parts = portions(requests, self.bases, number=self.runner.portions, most=self.runner.batch_rows)
        given = [[requests[place] for place in places] for places in parts]
        results = self.runner.do(
            _complete,
            self,
            [Part((own, sampling), len(own), frozenset(r.adapter for r in own if r.adapter)) for own in given],
            on_progress,
        )
        completions = {
            place: completion
            for places, result in zip(parts, results, strict=True)
            for place, completion in zip(places, result, strict=True)
        }
        return [completions[place] for place in range(len(requests))]


def _complete(run: Run, given: tuple[list[Request], Sampling], on_progress: OnProgress) -> list[Completion]:
    requests, sampling = given
    engine = run.engine.open(run.bases, run.runner, run.store.folders)
    return engine.complete(requests, sampling, on_progress)


def _ask(run: Run, requests: list[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
    """The answers of an engine whose work a server does; what an earlier try paid for is not asked for again."""
    run.store.fetch({request.adapter for request in requests if request.adapter})
    engine: Any = run.engine.open(run.bases, run.runner, run.store.folders)
    if run.journal is None:
        completions: list[Completion] = engine.complete(requests, sampling, on_progress)
        return completions
    return ask_once(engine, requests, sampling, settings=run.engine, journal=run.journal, on_progress=on_progress)
