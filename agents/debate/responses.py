"""What was said in a debate: a frame of responses, one row per (problem, agent, round), and what is looked up in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from agents.debate import prompts
from agents.engines.chat import Message
from agents.engines.protocol import Completion
from agents.society import Agent
from evaluation.answers.extract import extract_answer
from evaluation.answers.vote import unanimous
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
"""text: the response; answer: extracted from it or None; summary: what the agent read of the others before answering
(None in round 1); prompt_tokens and sampled_tokens: with those of writing the summary; finished: ended by itself;
heard: indices of the others of whom it read, such as "0 2" (None in round 1); persona: the prompt that its conversation
begins with, or None; carried: not said in this round but taken over from the one before, the debate having ended;
fallback: whether what it read was built from the responses, since the JSON of the summariser was not valid, None where
none was asked for; weight: what the answer counts for in a vote, 1 unless `agents.judging.confidence` sets it."""


@dataclass(frozen=True)
class Read:
    """What an agent read of the others before it answered."""

    words: str
    heard: Sequence[int]
    """Their indices."""
    written: Completion | None = None
    """By which the words were written, unless they are the others' own."""
    fallback: bool | None = None
    """Whether the words are not of what was written, since it was no valid JSON; None where none was asked for."""


def frame_of(
    round_: int,
    turns: Sequence[tuple[Agent, Problem]],
    *,
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
                extract_answer(c.text),
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
    """The responses of round m-1 to some problems as those of round m, where nobody read, sampled or said anything."""
    chosen = (earlier["round"] == round_ - 1) & earlier["problem_id"].isin([problem.id for problem in problems])
    stands = earlier[chosen].assign(role="critic", round=round_, summary=None, heard=None, carried=True)
    return stands.assign(prompt_tokens=0, sampled_tokens=0, fallback=None).reset_index(drop=True)


class Said:
    """Who said what, looked up by (problem, agent index, round)."""

    def __init__(self, responses: pd.DataFrame) -> None:
        keys = zip(responses["problem_id"], responses["index"], responses["round"], strict=True)
        # A frame may give back a missing persona as NaN.
        personas = (persona if isinstance(persona, str) else None for persona in responses["persona"])
        self._turns = dict(zip(keys, zip(responses["text"], responses["summary"], personas, strict=True), strict=True))
        self.indices: list[int] = sorted(set(responses["index"]))
        spoken = responses[~responses["carried"]]
        self._rounds: dict[Any, int] = spoken.groupby(["problem_id", "index"])["round"].max().to_dict()
        self._answers = responses[["problem_id", "round", "answer"]]

    def by(self, problem: Problem, indices: Sequence[int], round_: int) -> list[str]:
        """The responses of some agents in one round, in the order of the indices."""
        return [self._turns[problem.id, index, round_][0] for index in indices]

    def persona(self, problem: Problem, index: int) -> str | None:
        """What an agent's conversation begins with, if anything."""
        return self._turns[problem.id, index, 1][2]

    def rounds(self, problem: Problem, index: int) -> int:
        """The last round in which an agent spoke: fewer than M where the debate ended before."""
        return self._rounds[problem.id, index]

    def agreed(self, round_: int) -> set[str]:
        """Ids of the problems to which all agents gave the same answer in one round."""
        here = self._answers[self._answers["round"] == round_]
        return {
            str(id_)
            for id_, answers in here.groupby("problem_id")["answer"]
            if unanimous([answer if isinstance(answer, str) else None for answer in answers])
        }

    def conversation(self, problem: Problem, index: int, rounds: int) -> list[Message]:
        """The turns of one agent in rounds 1..rounds: the question, y_1, what it read before round 2, y_2, ...

        It ends with the last turn that the agent spoke: what was carried into a later round is not said again.
        """
        messages: list[Message] = []
        for round_ in range(1, min(rounds, self.rounds(problem, index)) + 1):
            text, read, persona = self._turns[problem.id, index, round_]
            asked = prompts.solve(problem.question, persona) if round_ == 1 else prompts.debate(problem.question, read)
            messages += [asked, {"role": "assistant", "content": text}]
        return messages
