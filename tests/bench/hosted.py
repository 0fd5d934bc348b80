"""What a society gains whose agents are at a service, beside the same society on this machine.

python -m tests.bench.hosted 60       60 training and 60 held-out problems, two iterations; about 30 minutes
make bench-hosted                     the same; SkyRL's server of Tinker's API needs `make .venv-skyrl/.installed`

The services run on this machine: SkyRL's server, and the tests' server of files and jobs. The settings are the default
job's, but for the number of problems.
"""

import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agents import steps
from agents.algorithm import StoredProblems, assess, iterate
from agents.engines.base_model import EMBEDDED, identify_bases
from agents.frames import problems_frame
from agents.run import Run
from agents.society import Society
from agents.store import Store
from evaluation.problems.sources import load_problems
from evaluation.scores import GenerationScores
from infra.config.job import Config
from tests.jobs_server import BASE, jobs_server
from tests.tinker.server import PYTHON, SkyRL


@dataclass(frozen=True)
class Place:
    """Where agents speak and learn, as sections of a config."""

    name: str
    sections: Mapping[str, Any]


@contextmanager
def on_skyrl(folder: Path) -> Iterator[Place]:
    # An adapter for each agent and iteration, and the base's own place.
    server = SkyRL(folder, EMBEDDED, adapters=16, rows=32)
    engine = {"name": "tinker", "url": server.url, "model": str(EMBEDDED), "concurrency": 32}
    try:
        yield Place("Tinker's API (SkyRL)", {"engine": engine, "finetune": {"method": "tinker", "losses": "mean"}})
    finally:
        server.close()


@contextmanager
def on_jobs(folder: Path) -> Iterator[Place]:
    with jobs_server("embedded", folder) as server:
        finetune = {"method": "jobs", "service": "openai", "url": server.url, "model": BASE, "poll_seconds": 0.2}
        yield Place(
            "files and jobs", {"engine": {"name": "openai", "url": server.url, "model": BASE}, "finetune": finetune}
        )


def grown(place: Place, problems: int, folder: Path) -> list[GenerationScores]:
    """The scores of generations 0 to 2."""
    sizes = {"train_size": problems, "evaluation_size": problems}
    config = Config.model_validate({"problems": sizes, **place.sections})
    run = Run(
        steps, identify_bases(["embedded"], False), config.engine, Store(folder), config.prompts.texts, config.answers
    )
    sets = load_problems(config.problems, config.seed, 0, grader=config.answers)
    x = StoredProblems(
        train=run.store.put_frame(problems_frame(sets.train)),
        evaluation=run.store.put_frame(problems_frame(sets.evaluation)),
    )
    society = Society.untuned(config.agents)
    scores = [steps.evaluate(run, assess(run, society, x=x.evaluation, settings=config.settings))]
    for generation in range(1, config.iterations + 1):
        new = iterate(run, society, problems=x, settings=config.settings, generation=generation)
        society = new.society
        scores.append(new.scores)
    return scores


def row(name: str, scores: list[GenerationScores], seconds: float) -> str:
    each = " | ".join(f"{100 * one.accuracy:.1f}±{100 * one.standard_error:.1f}" for one in scores)
    gain = scores[-1].accuracy - scores[0].accuracy
    error = math.hypot(scores[-1].standard_error, scores[0].standard_error)
    return f"| {name} | {each} | {100 * gain:+.1f}±{100 * error:.1f} | {seconds:.0f} |"


def main(problems: int) -> None:
    """Print a row for each place as it is done."""
    print("| where | generation 0 | 1 | 2 | gain | seconds |\n|---|---|---|---|---|---|", flush=True)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)

        def measure(place: Place) -> None:
            started = time.monotonic()
            scores = grown(place, problems, folder / place.name)
            print(row(place.name, scores, time.monotonic() - started), flush=True)

        measure(Place("this machine", {}))
        (folder / "service").mkdir()
        with on_jobs(folder / "service") as place:
            measure(place)
        if PYTHON.exists():
            (folder / "skyrl").mkdir()
            with on_skyrl(folder / "skyrl") as place:
                measure(place)


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:] or (60,)))
