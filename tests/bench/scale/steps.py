"""Measures the steps that the driver does alone, on any number of GPUs: grading, the vote, the splits, the scores.

    python -m tests.bench.scale.steps               3, 16 and 64 agents, 2 minutes
    python -m tests.bench.scale.steps 8 500         8 agents, 500 problems
    python -m tests.bench.scale.steps ray           the start of two actors, and handing out portions; needs Ray

The responses are made up and short, so what is measured is the work for each response, not for each character.
"""

import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from agents import steps
from agents.debate.responses import Read, frame_of
from agents.engines.base_model import Base, Bases
from agents.engines.protocol import Completion
from agents.engines.transformers import TransformersSettings
from agents.frames import problems_frame
from agents.records import Responses, Stream, Transcript
from agents.run import Run
from agents.runners.ray import Ray
from agents.runners.settings import Part
from agents.society import Agent, Society
from agents.store import Store
from agents.training.methods.sft import Sft
from evaluation.problems.problem import Problem
from tests.bench.measure import quiet
from tests.cluster.works import run_on, whose

SIZES = ((3, 300), (16, 500), (64, 400))
ROUNDS = 2


def rows(agents: int, problems: int) -> Iterator[tuple[str, float, float]]:
    """The rows: a step, its seconds, and microseconds for each response that it reads or writes."""
    with TemporaryDirectory() as folder:
        run = Run(steps, Bases(each=(Base(name="none", sha256="0" * 64),)), TransformersSettings(), Store(Path(folder)))
        asked = [Problem(question=f"What is {number} + 1?", answer=str(number + 1)) for number in range(problems)]
        society, said = Society.untuned(agents), agents * problems * ROUNDS
        y = Transcript(
            problems=run.store.put_frame(problems_frame(asked)),
            stream=Stream(seed=1, purpose="train", iteration=1),
        )
        began = time.perf_counter()
        for number, speaking in ((1, society.generators), (2, society.critics)):
            y = y.and_then(_round(run, number, speaking, asked))
        yield _row("grade and store all responses", began, said)
        began = time.perf_counter()
        consensus = run.steps.vote(run, y, min_votes=2)
        yield _row("vote", began, said)
        began = time.perf_counter()
        settings = Sft()
        for agent in society.agents:
            run.steps.split(run, agent, transcript=y, consensus=consensus, settings=settings)
        yield _row("splits of all agents", began, 2 * agents * said)
        began = time.perf_counter()
        run.steps.evaluate(run, y)
        yield _row("scores", began, said)


def _round(run: Run, number: int, speaking: Sequence[Agent], asked: list[Problem]) -> Responses:
    rng = random.Random(number)
    turns = [(agent, problem) for agent in speaking for problem in asked]
    completions = [
        Completion(
            text=f"First I add. The answer is \\boxed{{{int(problem.answer) + rng.randint(0, 1)}}}.",
            prompt_tokens=20,
            sampled_tokens=20,
            finished=True,
        )
        for _, problem in turns
    ]
    read = [Read("The others add.", [0])] * len(turns) if number > 1 else None
    personas = [None] * len(turns)
    frame = frame_of(number, turns, completions=completions, personas=personas, grader=run.answers, read=read)
    return Responses(responses=run.store.put_frame(frame), sampled_tokens=0, seconds=0.0)


def _row(name: str, began: float, responses: int) -> tuple[str, float, float]:
    spent = time.perf_counter() - began
    return name, spent, 1e6 * spent / responses


def handing_out() -> Iterator[tuple[str, float]]:
    """The rows of Ray: the start of two actors in seconds, and milliseconds of the driver for a portion."""
    with TemporaryDirectory() as folder:
        run = run_on(Ray(actors=2), Path(folder))

        def seconds(portions: int) -> float:
            began = time.perf_counter()
            run.runner.do(whose, run, [Part(0.0, 1)] * portions, quiet)
            return time.perf_counter() - began

        yield "two actors start, s", seconds(2)
        for portions in (200, 200, 1000):
            yield f"hand out {portions:,} portions, ms for each", 1000 * seconds(portions) / portions


def main(given: list[str]) -> None:
    """Print the rows."""
    if given == ["ray"]:
        for name, value in handing_out():
            print(f"| {name} | {value:.1f} |", flush=True)
        return
    print("| agents | problems | step | seconds | µs for each response |\n|--:|--:|---|--:|--:|")
    for agents, problems in [(int(given[0]), int(given[1]))] if given else SIZES:
        for name, spent, each in rows(agents, problems):
            print(f"| {agents} | {problems} | {name} | {spent:.2f} | {each:.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
