"""The responses of a debate: a frame with one row per (problem, agent, round), and look-ups in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from agents.debate.prompts import Prompts
from agents.engines.chat import Message
from agents.engines.protocol import Completion
from agents.society import Agent
from evaluation.answers.grader import Grader
from evaluation.answers.vote import unanimous
from evaluation.frames import text_or_none
from evaluation.problems.problem import Problem

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
    "carried",
    "fallback",
    "weight",
]
"""text: the response; answer: the answer in the text, or None; summary: what the agent read of the other agents
before it answered (None in round 1, and if it read nobody); prompt_tokens and sampled_tokens: of the response and its
summary together; finished: whether the response ended by itself; heard: indices of the agents that it read, such as
"0 2" (None in round 1); persona: the persona that begins the conversation, or None; carried: whether the response is
copied from the previous round because the debate had ended; fallback: whether the text in `summary` was built from
the responses because the summariser's JSON was not valid (None if no JSON was asked for); weight: what the answer
counts for in a vote, 1 unless `agents.judging.confidence` sets it."""


@dataclass(frozen=True)
class Read:
    """What an agent read of the other agents before it answered."""

    words: str | None
    """None if it reads nobody."""
    heard: Sequence[int]
    """Indices of the agents that it read."""
    written: Completion | None = None
    """The summariser's completion; None if the words are the other agents' own."""
    fallback: bool | None = None
    """Whether the words were built from the responses, as the summariser's JSON was not valid; None without JSON."""


def frame_of(  # noqa: PLR0913, a row is made of them all
    round_: int,
    turns: Sequence[tuple[Agent, Problem]],
    *,
    completions: Sequence[Completion],
    personas: Sequence[str | None],
    grader: Grader,
    read: Sequence[Read] | None = None,
) -> pd.DataFrame:
    """The responses of one round, with the columns of `COLUMNS`.

    Args:
        round_: the number of the round.
        turns: the agent and the problem of each response.
        completions: the response of each turn.
        personas: the persona of the agent of each turn, or None.
        grader: finds the answers in the responses.
        read: what the agent of each turn read before it answered; None in round 1.
    """
    rows = []
    reads: Sequence[Read | None] = read or [None] * len(turns)
    for (agent, p), c, persona, r in zip(turns, completions, personas, reads, strict=True):
        written = r.written if r else None
        rows.append(
            (
                p.id,
                agent.role,
                agent.index,
                round_,
                c.text,
                grader.extract(c.text),
                r.words if r else None,
                c.prompt_tokens + (written.prompt_tokens if written else 0),
                c.sampled_tokens + (written.sampled_tokens if written else 0),
                c.finished,
                " ".join(map(str, r.heard)) if r else None,
                persona,
                False,
                r.fallback if r else None,
                1.0,
            )
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def carry(earlier: pd.DataFrame, problems: Sequence[Problem], round_: int) -> pd.DataFrame:
    """The responses of the previous round to some problems, copied to round `round_`; nothing is read or sampled."""
    chosen = (earlier["round"] == round_ - 1) & earlier["problem_id"].isin([problem.id for problem in problems])
    stands = earlier[chosen].assign(role="critic", round=round_, summary=None, heard=None, carried=True)
    return stands.assign(prompt_tokens=0, sampled_tokens=0, fallback=None).reset_index(drop=True)


class Said:
    """Looks up responses by (problem, agent index, round)."""

    def __init__(self, responses: pd.DataFrame, prompts: Prompts, grader: Grader) -> None:
        """Index the responses.

        Args:
            responses: all agents in one round or more from the first, columns of COLUMNS.
            prompts: what the agents were asked.
            grader: decides which answers are the same.
        """
        self.responses, self.prompts, self.grader = responses, prompts, grader
        keys = list(zip(responses["problem_id"], responses["index"], responses["round"], strict=True))
        # A frame may give back a missing persona as NaN.
        personas = (persona if isinstance(persona, str) else None for persona in responses["persona"])
        self._turns = dict(zip(keys, zip(responses["text"], responses["summary"], personas, strict=True), strict=True))
        self._ends = dict(zip(keys, zip(responses["answer"], responses["finished"], strict=True), strict=True))
        self.indices: list[int] = sorted(set(responses["index"]))
        spoken = responses[~responses["carried"]]
        self._rounds: dict[Any, int] = spoken.groupby(["problem_id", "index"])["round"].max().to_dict()
        self._answers = responses[["problem_id", "round", "answer"]]

    def by(self, problem: Problem, indices: Sequence[int], round_: int) -> list[str]:
        """The responses of some agents in one round, in the order of the indices."""
        return [self._turns[problem.id, index, round_][0] for index in indices]

    def persona(self, problem: Problem, index: int) -> str | None:
        """The persona of an agent, or None."""
        return self._turns[problem.id, index, 1][2]

    def answer(self, problem: Problem, index: int, round_: int) -> str | None:
        """The answer of an agent in one round, or None."""
        return text_or_none(self._ends[problem.id, index, round_][0])

    def finished(self, problem: Problem, index: int, round_: int) -> bool:
        """Whether the response of an agent in one round ended by itself; otherwise it was cut at the token limit."""
        return bool(self._ends[problem.id, index, round_][1])

    def rounds(self, problem: Problem, index: int) -> int:
        """The last round in which an agent spoke; less than M if the debate ended earlier."""
        return self._rounds[problem.id, index]

    def agreed(self, round_: int) -> set[str]:
        """Ids of the problems to which all agents gave the same answer in one round."""
        here = self._answers[self._answers["round"] == round_]
        return {
            str(id_)
            for id_, answers in here.groupby("problem_id")["answer"]
            if unanimous(list(map(text_or_none, answers)), grader=self.grader)
        }

    def conversation(self, problem: Problem, index: int, rounds: int) -> list[Message]:
        """The turns of one agent in rounds 1..rounds: the opening, y_1, what it read before round 2, y_2, ...

        It ends with the last turn in which the agent spoke: responses that were carried into later rounds are not
        repeated.
        """
        messages: list[Message] = []
        for round_ in range(1, min(rounds, self.rounds(problem, index)) + 1):
            text, read, persona = self._turns[problem.id, index, round_]
            if round_ == 1:
                messages += self.prompts.opening(problem.question, persona)
            else:
                messages.append(self.prompts.again(problem.question, text_or_none(read)))
            messages.append({"role": "assistant", "content": text})
        return messages
