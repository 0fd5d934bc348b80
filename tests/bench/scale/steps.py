"""Measures the steps that the driver does alone, on any number of GPUs: grading, the vote, the splits, the scores.

    python -m tests.bench.scale.steps               3, 16 and 64 agents, 2 minutes
    python -m tests.bench.scale.steps 8 500         8 agents, 500 problems

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
from agents.society import Agent, Society
from agents.store import Store
from agents.training.methods.sft import Sft
from evaluation.problems.problem import Problem

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


if __name__ == "__main__":
    print("| agents | problems | step | seconds | µs for each response |\n|--:|--:|---|--:|--:|")
    sizes = [(int(sys.argv[1]), int(sys.argv[2]))] if sys.argv[1:] else SIZES
    for agents, problems in sizes:
        for name, spent, each in rows(agents, problems):
            print(f"| {agents} | {problems} | {name} | {spent:.2f} | {each:.1f} |", flush=True)
