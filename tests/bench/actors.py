"""`runner.name: ray` on one machine: two actors of one thread each, against this process with two threads.

python -m tests.bench.actors      prints only these rows; needs Ray (`make .venv/.cluster`)
"""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from agents import steps
from agents.algorithm import Settings, StoredProblems, assess, learn
from agents.engines.base_model import identify_bases
from agents.engines.transformers import TransformersSettings
from agents.frames import problems_frame
from agents.run import Run
from agents.runners.local import Local
from agents.runners.ray import Ray
from agents.runners.ray.pool import pool_of
from agents.runners.settings import Part, Runner
from agents.society import Society
from agents.store import Store
from evaluation.problems.sources import load_problems
from infra.config.job import Config
from tests.bench.measure import REPEATS, Row, quiet, spread, table
from tests.cluster.works import whose

PROBLEMS = 100
TRIPS = 200


class Job:
    """Pieces of a job with the default settings and PROBLEMS problems, on one runner."""

    def __init__(self, runner: Runner, folder: Path) -> None:
        config = Config.model_validate({"problems": {"train_size": PROBLEMS, "evaluation_size": PROBLEMS}})
        engine, prompts = TransformersSettings(), config.prompts.texts
        bases = identify_bases(config.bases, False)
        self.run = Run(steps, bases, engine, Store(folder), prompts, config.answers, runner)
        self.settings: Settings = config.settings
        sets = load_problems(config.problems, config.seed, grader=config.answers)
        frames = [self.run.store.put_frame(problems_frame(each)) for each in (sets.train, sets.evaluation)]
        self.problems = StoredProblems(train=frames[0], evaluation=frames[1])
        self.society = Society.untuned(config.agents)

    def debate(self) -> float:
        """Seconds of a debate over the held-out problems."""
        started = time.monotonic()
        assess(self.run, self.society, x=self.problems.evaluation, settings=self.settings)
        return time.monotonic() - started

    def iteration(self) -> tuple[float, float]:
        """Seconds of an iteration's debate and training, and of its training alone."""
        started = time.monotonic()
        learned = learn(self.run, self.society, x=self.problems.train, settings=self.settings, generation=1)
        return time.monotonic() - started, sum(each.seconds for each in learned.tuned)


def rows() -> Iterator[Row]:
    """The rows: a debate, the training of all agents, both; and what Ray itself takes."""
    with TemporaryDirectory() as folder:
        pool, local = Job(Ray(actors=2), Path(folder) / "pool"), Job(Local(threads=2), Path(folder) / "local")
        started = time.monotonic()
        pool.run.runner.do(whose, pool.run, [Part(0.0, 1)] * 8, quiet)
        up = time.monotonic() - started
        pairs = [(pool.debate(), local.debate()) for _ in range(REPEATS + 1)][1:]
        yield _row("a debate of 3 agents, s: 2 actors of 1 thread / 2 threads", pairs)
        both = [(pool.iteration(), local.iteration()) for _ in range(REPEATS + 1)][1:]
        yield _row("the training of 6 agents, s", [(a[1], b[1]) for a, b in both])
        yield _row("a debate and the training, s", [(a[0], b[0]) for a, b in both], "≥ 1.1")
        started = time.monotonic()
        pool.run.runner.do(whose, pool.run, [Part(0.0, 1)] * TRIPS, quiet)
        trip = (time.monotonic() - started) / TRIPS
        started = time.monotonic()
        pool_of(pool.run.runner, pool.run.bases, pool.run.engine).close()
        yield "Ray for a job: start of Ray and of the actors, s", f"{up:.1f}", "", "", ""
        yield "Ray for a job: its end, s", f"{time.monotonic() - started:.1f}", "", "", ""
        yield "Ray for a part of the work, ms", f"{1000 * trip:.1f}", "", "", ""


def _row(name: str, pairs: list[tuple[float, float]], goal: str = "") -> Row:
    """A row of seconds; the ratio is how many times as fast the pool is."""
    ours, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    return name, f"{ours:.1f}", f"{theirs:.1f}", spread([b / a for a, b in pairs], 2), goal


if __name__ == "__main__":
    table(rows())
