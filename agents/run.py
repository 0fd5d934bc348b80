"""What every step of Algorithm 1 uses: the base models, the engine, the store and the device."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, ClassVar

from agents.complete import complete
from agents.debate.prompts import DEFAULT, Prompts
from agents.engines.base_model import Bases
from agents.engines.protocol import Completion, OnProgress, Request, Sampling
from agents.engines.settings import EngineSettings
from agents.hosted.journal import Journal
from agents.runners.local import Local
from agents.runners.settings import Runner
from agents.store import Store
from evaluation.answers.grader import Grader
from evaluation.answers.kinds.math import MATH

if TYPE_CHECKING:
    from agents.algorithm import Steps
    from agents.hosted.members import HostedAgents
    from agents.training.settings import FinetuneSettings

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
        hosted: the agents at a service, whose engine is another one; then `bases` has one base, or one for each agent.
            None: all agents have `engine`.
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
    hosted: "HostedAgents | None" = None

    def labelled(self, label: str) -> "Run":
        """The same run with another label."""
        return replace(self, label=label)

    def complete(self, requests: list[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """The engine's answers, in the order of the requests.

        Raises:
            EngineError: the engine cannot be used, or gave up.
            BudgetError: the requests would cost more than is left of `engine.budget`.
        """
        return complete(self, requests, sampling, on_progress)

    def at_service(self, index: int) -> bool:
        """Whether the agents with this index are at a service, and others are not."""
        return self.hosted is not None and index in self.hosted.agents

    def side(self, index: int) -> "Run":
        """The run of those agents that are where the agents with this index are: with their engine and base models."""
        if self.hosted is None:
            return self
        there, bases = self.at_service(index), self.bases
        if len(bases.each) > 1:
            own = {n: base for n, base in enumerate(bases.each) if self.at_service(n) == there}
            # The others' bases are not loaded there.
            first = next(iter(own.values()))
            bases = Bases(each=tuple(own.get(n, first) for n in range(len(bases.each))))
        if there:
            return replace(self, bases=bases, engine=self.hosted.engine, hosted=None)
        return replace(self, bases=bases, journal=None, hosted=None)

    def method_of(self, index: int, settings: "FinetuneSettings") -> "FinetuneSettings":
        """How the agents with this index learn: as these settings say, or as the service trains."""
        own = self.hosted.finetune if self.hosted and self.at_service(index) else None
        return own or settings

    @property
    def sides(self) -> "list[tuple[int, Run]]":
        """This machine's side and the service's, or the run itself: the index of an agent of each, and its run."""
        if self.hosted is None:
            return [(0, self)]
        here = next(n for n in count() if not self.at_service(n))
        return [(index, self.side(index)) for index in (here, self.hosted.agents[0])]
