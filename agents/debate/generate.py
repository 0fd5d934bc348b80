"""Round 1 of Algorithm 1: every generation agent answers every problem."""

from collections.abc import Sequence
from itertools import product
from typing import Literal

import pandas as pd

from agents.debate import prompts
from agents.debate.responses import frame_of
from agents.engines.protocol import Engine, OnProgress, Request, Sampling
from agents.seeding import derive_seed
from agents.society import Agent
from evaluation.problems.problem import Problem
from evaluation.record import Record


class Stream(Record):
    """Which random stream a step draws from: no two steps of a run share one."""

    seed: int
    purpose: Literal["train", "evaluate"]
    iteration: int

    def seed_of(self, round_: int, agent: Agent, problem: Problem, part: str = "response") -> int:
        """The seed of one sample."""
        return derive_seed(self.seed, self.purpose, self.iteration, round_, agent.name, problem.id, part)


def generate(
    engine: Engine,
    agents: Sequence[Agent],
    problems: Sequence[Problem],
    sampling: Sampling,
    stream: Stream,
    on_progress: OnProgress,
    personas: Sequence[str] = (),
) -> pd.DataFrame:
    """Round 1: y_{1,n} = A^G_n(x) for every generation agent n and problem x, in this order.

    Args:
        personas: agent n has the one at n modulo their number; none if there are none.
    """
    turns = list(product(agents, problems))
    given = [personas[agent.index % len(personas)] if personas else None for agent, _ in turns]
    requests = [
        Request(
            [prompts.solve(p.question, persona)],
            agent.adapter,
            stream.seed_of(1, agent, p),
            sampling.max_new_tokens,
            agent.index,
        )
        for (agent, p), persona in zip(turns, given, strict=True)
    ]
    completions = engine.complete(requests, sampling, on_progress)
    return frame_of(1, turns, completions, given)
