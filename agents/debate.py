"""Generation and debate: one round of all agents over all problems, the two sampling steps of Algorithm 1.

The agents of a round are asked together, so that an engine is free to answer them in one batch.

Responses travel as a frame with the columns of `COLUMNS`, one row per (problem, agent, round).
"""

from collections.abc import Sequence
from itertools import product
from typing import Literal

import pandas as pd

from agents import prompts
from agents.engines.protocol import Completion, Engine, OnProgress, Request, Sampling
from agents.prompts import Message
from agents.seeding import derive_seed
from agents.society import Agent
from evaluation.answers import extract_answer
from evaluation.problems.problem import Problem
from evaluation.scores import Record

COLUMNS = [
    "problem_id",
    "role",
    "index",
    "round",
    "text",
    "answer",
    "summary",
    "prompt_tokens",
    "sampled_tokens",
    "finished",
]
"""text: the response; answer: extracted from it or None; summary: what the agent read of the others before answering
(None in round 1); prompt_tokens and sampled_tokens: with those of writing the summary; finished: ended by itself."""


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
) -> pd.DataFrame:
    """Round 1: y_{1,n} = A^G_n(x) for every generation agent n and problem x, in this order."""
    turns = list(product(agents, problems))
    requests = [
        Request([prompts.solve(p.question)], agent.adapter, stream.seed_of(1, agent, p), sampling.max_new_tokens)
        for agent, p in turns
    ]
    completions = engine.complete(requests, sampling, on_progress)
    return frame_of(1, turns, completions)


def debate(
    engine: Engine,
    agents: Sequence[Agent],
    problems: Sequence[Problem],
    earlier: pd.DataFrame,
    round_: int,
    summarize: bool,
    sampling: Sampling,
    stream: Stream,
    on_progress: OnProgress,
) -> pd.DataFrame:
    """Round m >= 2: y_{m,n} = A^C_n(x, y_{1..m-1,n}, summary of y_{m-1,-n}) for every critic agent n and problem x.

    Args:
        earlier: the responses of all agents in rounds 1..m-1; of the others only round m-1 is read.
        summarize: the base model summarises the others; otherwise the agent reads their very words.
    """
    said = Said(earlier)
    turns = list(product(agents, problems))
    total = len(turns) * (2 if summarize else 1)
    before = total - len(turns)
    written: Sequence[Completion | None] = [None] * len(turns)
    others = [said.by_others(p, agent.index, round_ - 1) for agent, p in turns]
    words = [prompts.listed(responses) for responses in others]
    if summarize:
        asked = [
            Request(
                [prompts.summarise(p.question, responses)],
                None,
                stream.seed_of(round_, agent, p, "summary"),
                sampling.max_summary_tokens,
            )
            for (agent, p), responses in zip(turns, others, strict=True)
        ]
        summaries = engine.complete(asked, sampling, lambda done, _: on_progress(done, total))
        written, words = summaries, [summary.text for summary in summaries]
    requests = [
        Request(
            [*said.conversation(p, agent.index, round_ - 1), prompts.debate(p.question, read)],
            agent.adapter,
            stream.seed_of(round_, agent, p),
            sampling.max_new_tokens,
        )
        for (agent, p), read in zip(turns, words, strict=True)
    ]
    completions = engine.complete(requests, sampling, lambda done, _: on_progress(before + done, total))
    return frame_of(round_, turns, completions, words, written)


class Said:
    """Who said what, looked up by (problem, agent index, round)."""

    def __init__(self, responses: pd.DataFrame) -> None:
        keys = zip(responses["problem_id"], responses["index"], responses["round"], strict=True)
        self._turns = dict(zip(keys, zip(responses["text"], responses["summary"], strict=True), strict=True))
        self._indices = sorted(set(responses["index"]))

    def by_others(self, problem: Problem, index: int, round_: int) -> list[str]:
        """The other agents' responses of one round, in the order of their index."""
        return [self._turns[problem.id, other, round_][0] for other in self._indices if other != index]

    def conversation(self, problem: Problem, index: int, rounds: int) -> list[Message]:
        """The turns of one agent in rounds 1..rounds: the question, y_1, what it read before round 2, y_2, ..."""
        messages: list[Message] = []
        for round_ in range(1, rounds + 1):
            text, read = self._turns[problem.id, index, round_]
            messages.append(prompts.solve(problem.question) if round_ == 1 else prompts.debate(problem.question, read))
            messages.append({"role": "assistant", "content": text})
        return messages


def frame_of(
    round_: int,
    turns: Sequence[tuple[Agent, Problem]],
    completions: Sequence[Completion],
    words: Sequence[str | None] | None = None,
    written: Sequence[Completion | None] | None = None,
) -> pd.DataFrame:
    """The responses of one round, with the columns of `COLUMNS`.

    Args:
        turns: who answered what, and completions: how.
        words: what each read of the others before; none in round 1.
        written: the completions by which summaries were written, if any were.
    """
    words, written = words or [None] * len(turns), written or [None] * len(turns)
    rows = [
        (
            p.id,
            agent.role,
            agent.index,
            round_,
            c.text,
            extract_answer(c.text),
            w,
            c.prompt_tokens + (s.prompt_tokens if s else 0),
            c.sampled_tokens + (s.sampled_tokens if s else 0),
            c.finished,
        )
        for (agent, p), c, w, s in zip(turns, completions, words, written, strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
