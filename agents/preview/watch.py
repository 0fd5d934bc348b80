"""A run that remembers what its models were asked and what they said, and how long its trainings took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from agents.engines.protocol import Completion, OnProgress, Request, Sampling
from agents.run import Progress, Run


class Call(NamedTuple):
    """One batch of requests, their completions, and the seconds until the last of them."""

    requests: list[Request]
    completions: list[Completion]
    seconds: float


@dataclass(frozen=True)
class WatchedRun(Run):
    """A run that adds each batch of requests to `calls`."""

    calls: list[Call] = field(default_factory=list)

    @classmethod
    def of(cls, run: Run) -> Self:
        """The same run, watched from now on."""
        return cls(**vars(run))

    def complete(self, requests: list[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """The engine's answers, in the order of the requests."""
        started = time.monotonic()
        completions = super().complete(requests, sampling, on_progress)
        self.calls.append(Call(requests, completions, time.monotonic() - started))
        return completions

    def spoken(self) -> dict[int, tuple[Request, Completion]]:
        """Each request with its completion, by the request's seed, which no two requests of a debate share."""
        return {
            request.seed: (request, completion)
            for call in self.calls
            for request, completion in zip(call.requests, call.completions, strict=True)
        }


@dataclass
class Steps:
    """Times of the parts of a training, one part for each base model."""

    steady_seconds: float = 0.0
    """From the end of the first report of each part to the last."""
    steady_share: float = 0.0
    """Share of all optimizer steps that were made in this time, 0..1."""

    @contextmanager
    def watching(self, run: Run) -> Iterator[Run]:
        """The run, whose progress is timed; the times are known when the context ends."""
        reports: list[list[tuple[float, int, int]]] = []
        yield replace(run, progress=_timed(run.progress, reports))
        parts = [part for part in reports if part]
        total = sum(part[-1][2] for part in parts)
        self.steady_seconds = sum(part[-1][0] - part[0][0] for part in parts)
        self.steady_share = sum(part[-1][1] - part[0][1] for part in parts) / total if total else 0.0


def _timed(progress: Progress, reports: list[list[tuple[float, int, int]]]) -> Progress:
    """Progress that also appends the time of every report to a new list in `reports`."""

    @contextmanager
    def timed(label: str) -> Iterator[OnProgress]:
        part: list[tuple[float, int, int]] = []
        reports.append(part)
        with progress(label) as tell:

            def both(done: int, total: int) -> None:
                part.append((time.monotonic(), done, total))
                tell(done, total)

            yield both

    return timed
