"""Work and an engine that stand in for a GPU in `tests.bench.cluster`; actors import them from here."""

import time
from collections.abc import Sequence
from pathlib import Path

from agents.engines.base_model import Bases
from agents.engines.protocol import Completion, Engine, OnProgress, Request, Sampling
from agents.engines.settings import EngineSettings
from agents.run import Run
from agents.runners.settings import Runner


class Sleeping(EngineSettings):
    """An engine that answers at once, with as many words as the embedded model says to an arithmetic problem."""

    name: str = "sleeping"

    def open(self, bases: Bases, runner: Runner, adapters: Path) -> Engine:
        """The engine itself."""
        return Sleeper()


class Sleeper:
    """Answers each request with a text of its own."""

    def complete(self, requests: Sequence[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """Completions in the order of the requests."""
        return [
            Completion(f"{'We first multiply, then we add. ' * 9}\\boxed{{{r.seed % 97}}}", 60, 90, True)
            for r in requests
        ]


def sleep(run: Run, seconds: float, on_progress: OnProgress) -> None:
    """What a portion does in place of a GPU's work."""
    time.sleep(seconds)
