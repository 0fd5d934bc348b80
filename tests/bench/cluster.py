"""A simulated cluster on this machine: actors that sleep in place of a GPU, driven as those of a real job.

python -m tests.bench.cluster             64 actors; a round of 10,000 problems and 64 agents
python -m tests.bench.cluster 8 1000      8 actors; a round of 1,000 problems and 64 agents

Each actor is a process of Ray, and so is its CPU only an entry in Ray's books. The driver is real: it makes the
requests, divides them into portions, ships them, reads the completions, grades them and stores them.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from agents import steps
from agents.engines.base_model import Bases, identify_bases
from agents.engines.protocol import Completion, Engine, OnProgress, Request, Sampling
from agents.engines.settings import EngineSettings
from agents.frames import problems_frame
from agents.records import Stream, Transcript
from agents.run import Run
from agents.runners.ray import Ray
from agents.runners.settings import Part, Runner
from agents.society import Society
from agents.store import Store
from evaluation.problems.sources import load_problems
from infra.config.job import Config
from tests.bench.measure import quiet

AGENTS, PORTIONS, PORTION_SECONDS = 64, 10, 1.0
"""Agents of the large round; portions for each actor in the measurement of efficiency, and how long each takes."""
GOALS = {"efficiency": 0.95, "GiB": 2.0}


class Sleeping(EngineSettings):
    """An engine that answers at once, with as many words as the embedded model says to an arithmetic problem."""

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset()

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


def run_on(actors: int, folder: Path) -> Run:
    """A run of the plain steps on so many actors."""
    bases = identify_bases(["embedded"], False)
    return Run(steps, bases, Sleeping(), Store(folder), runner=Ray(actors=actors))


def efficiency(actors: int, folder: Path) -> Iterator[tuple[str, str, str]]:
    """How long the actors take to start, and which share of their time they are at work after that."""
    run = run_on(actors, folder)
    started = time.monotonic()
    # A portion for each, so long that none gets two, ends when all are there.
    run.runner.do(sleep, run, [Part(PORTION_SECONDS, 1)] * actors, quiet)
    while len(ready(run)) < actors:
        run.runner.do(sleep, run, [Part(PORTION_SECONDS, 1)] * actors, quiet)
    yield f"start of {actors} actors, s", f"{time.monotonic() - started:.0f}", ""
    started = time.monotonic()
    run.runner.do(sleep, run, [Part(PORTION_SECONDS, 1)] * (actors * PORTIONS), quiet)
    share = PORTIONS * PORTION_SECONDS / (time.monotonic() - started)
    yield f"efficiency of {actors} actors, portions of {PORTION_SECONDS:.0f} s", f"{share:.3f}", "≥ 0.95"


def ready(run: Run) -> list[Any]:
    """The actors that have started."""
    from agents.runners.ray.pool import pool_of

    assert isinstance(run.runner, Ray)
    return [member for member in pool_of(run.runner, run.bases, run.engine).members if member.ready]


def large_round(actors: int, problems: int, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Time and memory of the driver for round 1 of a debate of AGENTS agents."""
    run = run_on(actors, folder)
    config = Config.model_validate({"problems": {"train_size": problems, "evaluation_size": 1}})
    asked = load_problems(config.problems, 1, grader=config.answers).train
    x = Transcript(
        problems=run.store.put_frame(problems_frame(asked)), stream=Stream(seed=1, purpose="train", iteration=1)
    )
    before = peak()
    started = time.monotonic()
    said = steps.generate(run, Society.untuned(AGENTS).generators, transcript=x, personas=[], sampling=config.sampling)
    seconds = time.monotonic() - started
    name = f"a round of {problems:,} problems and {AGENTS} agents"
    yield f"{name}: responses a second", f"{said.responses.rows / seconds:,.0f}", ""
    yield f"{name}: peak memory of the driver, GiB (before: {before:.2f})", f"{peak():.2f}", "≤ 2"


def peak() -> float:
    """The largest memory of this process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(what: str, actors: int, problems: int) -> None:
    """Print the rows of one measurement."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        rows = efficiency(actors, place) if what == "efficiency" else large_round(actors, problems, place)
        for row in rows:
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] in (["efficiency"], ["round"]):
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        size = [*sys.argv[1:], *["64", "10000"][len(sys.argv) - 1 :]]
        print("| measure | value | goal |\n|---|---|---|", flush=True)
        for one in ("efficiency", "round"):  # Each in a process of its own, for the sake of its memory.
            here = ["8"] if one == "round" else size[:1]
            subprocess.run([sys.executable, "-m", "tests.bench.cluster", one, *here, size[1]], check=True)
