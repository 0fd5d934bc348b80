"""Work without a model, for the tests of the pool of actors; and one small iteration of Algorithm 1."""

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents import steps
from agents.algorithm import StoredProblems, iterate
from agents.engines.base_model import identify_bases
from agents.engines.protocol import EngineError, OnProgress
from agents.engines.transformers import TransformersSettings
from agents.frames import problems_frame
from agents.judging.diversity import diversity
from agents.run import Progress, Run, silent
from agents.runners.ray import Ray
from agents.runners.settings import Part, Runner
from agents.society import Society
from agents.store import Store
from evaluation.problems.sources import load_problems
from infra.config.job import Config

CONFIG = Config.model_validate(
    {
        "agents": 2,
        "iterations": 1,
        "problems": {"train_size": 12, "evaluation_size": 6},
        "debate": {"vote": "confidence"},
        "finetune": {"epochs": 1, "min_votes": 1},
        "sampling": {"max_new_tokens": 96, "max_summary_tokens": 96},
    }
)


def run_on(runner: Runner, folder: Path, progress: Progress = silent) -> Run:
    """A run of the plain steps on the embedded model."""
    bases = identify_bases(CONFIG.bases, False)
    engine, prompts = TransformersSettings(), CONFIG.prompts.texts
    return Run(steps, bases, engine, Store(folder), prompts, CONFIG.answers, runner, progress=progress)


def start_all(run: Run, actors: int) -> None:
    """Let so many actors start: one that starts first would do all of a small work alone."""
    deadline = time.monotonic() + 90
    while len(set(run.runner.do(whose, run, [Part(0.3, 1)] * actors, lambda *state: None))) < actors:
        assert time.monotonic() < deadline, f"fewer than {actors} actors work"


def one_iteration(runner: Runner, folder: Path, progress: Progress = silent) -> dict[str, Any]:
    """What an iteration gives that must not depend on the runner: digests of responses and adapters, and diversity."""
    run = run_on(runner, folder, progress)
    sets = load_problems(CONFIG.problems, CONFIG.seed, grader=CONFIG.answers)
    frames = [run.store.put_frame(problems_frame(each)) for each in (sets.train, sets.evaluation)]
    problems = StoredProblems(train=frames[0], evaluation=frames[1])
    untuned = Society.untuned(CONFIG.agents)
    made = iterate(run, untuned, problems=problems, settings=CONFIG.settings, generation=1)
    after = diversity(run, made.learned.society.critics, transcript=made.debated, encoder=None)
    return {
        "responses": [each.responses.sha256 for each in (*made.learned.sampled, *made.debated.rounds)],
        "adapters": [agent.adapter for agent in made.learned.society.agents],
        "diversity": after,
        "scores": made.scores.model_copy(update={"seconds": {}}),
    }


@contextmanager
def shown(label: str) -> Iterator[OnProgress]:
    """Progress as lines of the log."""
    yield lambda done, total: logging.getLogger("progress").info("%s %d of %d", label, done, total)


def square(run: Run, given: int, on_progress: OnProgress) -> int:
    """The square, after a moment, with progress and a warning."""
    on_progress(1, 2)
    logging.getLogger("maft.engines").warning("squaring %d", given)
    time.sleep(0.8)
    return given * given


def whose(run: Run, given: float, on_progress: OnProgress) -> int:
    """The id of the process that did the work, after so many seconds."""
    time.sleep(given)
    return os.getpid()


def die(run: Run, given: int, on_progress: OnProgress) -> None:
    """End the process as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(run: Run, given: int, on_progress: OnProgress) -> None:
    """Raise an error of the work's own."""
    raise ArithmeticError(f"{given} is too much")


if __name__ == "__main__":
    # A driver in a process of its own: prints the result of one part, or of an iteration, or the error.
    what, address, number, folder = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    patience = int(os.environ.get("PATIENCE", "90"))
    runner, place = Ray(address=address, actors=int(number), wait_seconds=patience), Path(folder)
    # An actor imports a function by the name of its module, which is not __main__ there.
    from tests.cluster import works

    try:
        if what == "iteration":
            works.start_all(run_on(runner, place), runner.actors)
            print(json.dumps(one_iteration(runner, place, shown), default=lambda record: record.model_dump()))
        else:
            print(runner.do(works.square, run_on(runner, place), [Part(3, 1)], lambda *state: None))
    except EngineError as error:
        print(error)
        sys.exit(1)
