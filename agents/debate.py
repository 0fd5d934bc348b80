"""Generation and debate: one round of all agents over all problems, the two sampling steps of Algorithm 1.

The agents of a round are asked together, so that an engine is free to answer them in one batch.

Responses travel as a frame with the columns of `COLUMNS`, one row per (problem, agent, round).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import pandas as pd

from agents import prompts
from agents.engines.protocol import Completion, Engine, OnProgress, Request, Sampling
from agents.prompts import Message
from agents.rules import Rules
from agents.seeding import derive_seed
from agents.society import Agent
from agents.topology import heard
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
    "heard",
    "persona",
]
"""text: the response; answer: extracted from it or None; summary: what the agent read of the others before answering
(None in round 1); prompt_tokens and sampled_tokens: with those of writing the summary; finished: ended by itself;
heard: indices of the others of whom it read, such as "0 2" (None in round 1); persona: the prompt that its conversation
begins with, or None."""


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
            [prompts.solve(p.question, persona)], agent.adapter, stream.seed_of(1, agent, p), sampling.max_new_tokens
        )
        for (agent, p), persona in zip(turns, given, strict=True)
    ]
    completions = engine.complete(requests, sampling, on_progress)
    return frame_of(1, turns, completions, given)


def debate(
    engine: Engine,
    agents: Sequence[Agent],
    problems: Sequence[Problem],
    earlier: pd.DataFrame,
    round_: int,
    rules: Rules,
    sampling: Sampling,
    stream: Stream,
    on_progress: OnProgress,
) -> pd.DataFrame:
    """Round m >= 2: y_{m,n} = A^C_n(x, y_{1..m-1,n}, summary of y_{m-1,-n}) for every critic agent n and problem x.

    Args:
        earlier: the responses of all agents in rounds 1..m-1; of the others only round m-1 is read.
        rules: whom an agent reads, and in which form. Personas are those of `earlier`.
    """
    said = Said(earlier)
    turns = list(product(agents, problems))
    total = len(turns) * (2 if rules.summarize else 1)
    before = total - len(turns)
    read = _exchange(engine, turns, said, round_, rules, sampling, stream, lambda done, _: on_progress(done, total))
    requests = [
        Request(
            [*said.conversation(p, agent.index, round_ - 1), prompts.debate(p.question, each.words)],
            agent.adapter,
            stream.seed_of(round_, agent, p),
            sampling.max_new_tokens,
        )
        for (agent, p), each in zip(turns, read, strict=True)
    ]
    completions = engine.complete(requests, sampling, lambda done, _: on_progress(before + done, total))
    return frame_of(round_, turns, completions, [said.persona(p, agent.index) for agent, p in turns], read)


@dataclass(frozen=True)
class Read:
    """What an agent read of the others before it answered."""

    words: str
    heard: Sequence[int]
    """Their indices."""
    written: Completion | None = None
    """By which the words were written, unless they are the others' own."""


def _exchange(
    engine: Engine,
    turns: Sequence[tuple[Agent, Problem]],
    said: "Said",
    round_: int,
    rules: Rules,
    sampling: Sampling,
    stream: Stream,
    on_progress: OnProgress,
) -> list[Read]:
    """What each agent reads of round m-1 before its turn: summaries by the base model, or very words."""
    reached = [
        heard(rules.topology, agent.index, said.indices, stream.seed_of(round_, agent, p, "heard"))
        for agent, p in turns
    ]
    others = [said.by(p, indices, round_ - 1) for (_, p), indices in zip(turns, reached, strict=True)]
    if not rules.summarize:
        return [Read(prompts.listed(each), indices) for each, indices in zip(others, reached, strict=True)]
    asked = [
        Request(
            [prompts.summarise(p.question, responses)],
            None,
            stream.seed_of(round_, agent, p, "summary"),
            sampling.max_summary_tokens,
        )
        for (agent, p), responses in zip(turns, others, strict=True)
    ]
    summaries = engine.complete(asked, sampling, on_progress)
    return [Read(summary.text, indices, summary) for summary, indices in zip(summaries, reached, strict=True)]


class Said:
    """Who said what, looked up by (problem, agent index, round)."""

    def __init__(self, responses: pd.DataFrame) -> None:
        keys = zip(responses["problem_id"], responses["index"], responses["round"], strict=True)
        # A frame may give back a missing persona as NaN.
        personas = (persona if isinstance(persona, str) else None for persona in responses["persona"])
        self._turns = dict(zip(keys, zip(responses["text"], responses["summary"], personas, strict=True), strict=True))
        self.indices: list[int] = sorted(set(responses["index"]))

    def by(self, problem: Problem, indices: Sequence[int], round_: int) -> list[str]:
        """The responses of some agents in one round, in the order of the indices."""
        return [self._turns[problem.id, index, round_][0] for index in indices]

    def persona(self, problem: Problem, index: int) -> str | None:
        """What an agent's conversation begins with, if anything."""
        return self._turns[problem.id, index, 1][2]

    def conversation(self, problem: Problem, index: int, rounds: int) -> list[Message]:
        """The turns of one agent in rounds 1..rounds: the question, y_1, what it read before round 2, y_2, ..."""
        messages: list[Message] = []
        for round_ in range(1, rounds + 1):
            text, read, persona = self._turns[problem.id, index, round_]
            asked = prompts.solve(problem.question, persona) if round_ == 1 else prompts.debate(problem.question, read)
            messages += [asked, {"role": "assistant", "content": text}]
        return messages


def frame_of(
    round_: int,
    turns: Sequence[tuple[Agent, Problem]],
    completions: Sequence[Completion],
    personas: Sequence[str | None],
    read: Sequence[Read] | None = None,
) -> pd.DataFrame:
    """The responses of one round, with the columns of `COLUMNS`.

    Args:
        turns: who answered what, completions: how, and personas: as whom.
        read: what each read of the others before; none in round 1.
    """
    rows = []
    for (agent, p), c, persona, r in zip(turns, completions, personas, read or [None] * len(turns), strict=True):
        written = r.written if r else None
        rows.append(
            (
                p.id,
                agent.role,
                agent.index,
                round_,
                c.text,
                extract_answer(c.text),
                r.words if r else None,
                c.prompt_tokens + (written.prompt_tokens if written else 0),
                c.sampled_tokens + (written.sampled_tokens if written else 0),
                c.finished,
                " ".join(map(str, r.heard)) if r else None,
                persona,
            )
        )
    return pd.DataFrame(rows, columns=COLUMNS)
