"""Chooses a few debates of a benchmark to show: the critics changed the outcome, or could not."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import pandas as pd
from pydantic import Field

from evaluation.answers.grader import Grader
from evaluation.answers.kinds.math import MATH
from evaluation.benchmark.methods import MethodName
from evaluation.frames import text_or_none
from evaluation.measures.debates import Ballots
from evaluation.measures.worth_reading import Course, course, in_turns
from evaluation.problems.problem import Problem
from evaluation.record import Record

COUNT = 5
MAX_AGENTS = 5
"""Number of agents whose turns are kept."""
MAX_CHARS = 1500
"""Longest text that is kept of a question, a response or a summary."""

Kind = Literal["corrected", "spoiled", "split", "alone", "deceived"]
KINDS: dict[Kind, str] = {
    "corrected": "Corrected by the critics: the first vote was wrong, the last is right.",
    "spoiled": "Spoiled by the critics: the first vote was right, the last is wrong.",
    "split": "Split: the last vote was a tie, broken at random.",
    "alone": "Outvoted: an agent was right in the end, but the vote was wrong.",
    "deceived": "Unanimous, but wrong.",
}
"""The kinds of debates and their headings, in the order of the page."""


class ShownTurn(Record):
    """What one agent said in one round."""

    agent: str = Field(max_length=40)
    round: int
    read: str | None = Field(description="The summary of the other agents' responses that it read before.")
    text: str
    answer: str | None
    right: bool


class Voted(Record):
    """The vote of one round."""

    round: int
    answer: str | None
    votes: int
    right: bool


class Debate(Record):
    """One debate, its texts cut to MAX_CHARS."""

    kind: Kind
    method: MethodName
    iteration: int
    seed: int
    question: str
    reference: str
    turns: list[ShownTurn] = Field(description="Turns of the first MAX_AGENTS agents, by round, then by agent.")
    left_out: int = Field(ge=0, description="Number of agents without turns here.")
    votes: list[Voted] = Field(description="The vote of every round.")


class Held(NamedTuple):
    """All debates of one method after one iteration under one seed."""

    method: MethodName
    iteration: int
    seed: int
    problems: Sequence[Problem]
    responses: pd.DataFrame
    """A frame with the columns of `agents.debate.debate.COLUMNS`."""
    grader: Grader = MATH


class _Candidate(NamedTuple):
    order: tuple[bool, int, int, int, str]
    """Sort key: debates whose first vote was no tie, then the newest iteration, then the shortest."""
    kind: Kind
    held: Held
    problem: Problem
    turns: dict[tuple[int, int], dict[str, str | None]]
    """Text, answer and summary of each turn, by round and agent index."""
    course: Course


def worth_reading(held: Iterable[Held]) -> list[Debate]:
    """COUNT debates of two or more rounds, one of each kind; if a kind has none, more of the other kinds.

    Within a kind, debates whose first vote was no tie come first, then the newest iteration, then the shortest. So the
    choice follows a rule and is the same on every run.
    """
    by_kind: dict[Kind, list[_Candidate]] = defaultdict(list)
    for each in held:
        for candidate in _candidates(each):
            by_kind[candidate.kind].append(candidate)
    ranked = {kind: sorted(by_kind[kind], key=lambda c: c.order) for kind in KINDS}
    chosen = in_turns(ranked, COUNT)
    return [_debate(candidate) for candidate in sorted(chosen, key=lambda c: [*KINDS].index(c.kind))]


def _candidates(held: Held) -> Iterator[_Candidate]:
    by_problem: dict[str, dict[tuple[int, int], dict[str, str | None]]] = defaultdict(dict)
    ballots: dict[str, dict[int, Ballots]] = defaultdict(lambda: defaultdict(list))
    said = held.responses.sort_values(["round", "index"])
    weights = said["weight"].tolist() if "weight" in said else [1.0] * len(said)
    columns = [said[name].tolist() for name in ("problem_id", "round", "index", "text", "answer", "summary")]
    for id_, round_, index, text, answer, summary, weight in zip(*columns, weights, strict=True):
        turn = {"text": text_or_none(text), "answer": text_or_none(answer), "summary": text_or_none(summary)}
        by_problem[id_][round_, index] = turn
        ballots[id_][round_].append((turn["answer"], weight))
    for problem in held.problems:
        rounds = [*ballots[problem.id].values()]
        if len(rounds) < 2:
            continue
        went = course(rounds, problem.id, problem.answer, held.seed, grader=held.grader)
        kind = _kind(went, any(held.grader.equivalent(answer, problem.answer) for answer, _ in rounds[-1]))
        if kind:
            turns = by_problem[problem.id]
            length = sum(len(turn["text"] or "") for turn in turns.values())
            order = went.votes[0].tied, -held.iteration, length, held.seed, problem.id
            yield _Candidate(order, kind, held, problem, turns, went)


def _kind(went: Course, one_is_right: bool) -> Kind | None:
    """The kind of a debate, given whether an agent was right in the last round."""
    if went.kind == "corrected":
        return "corrected"
    if went.kind == "spoiled":
        return "spoiled"
    if went.vote.tied:
        return "split"
    if went.right:
        return None
    if one_is_right:
        return "alone"
    return "deceived" if went.kind == "agreed" else None


def _debate(candidate: _Candidate) -> Debate:
    held, problem = candidate.held, candidate.problem
    agents = sorted({index for _, index in candidate.turns})
    return Debate(
        kind=candidate.kind,
        method=held.method,
        iteration=held.iteration,
        seed=held.seed,
        question=clipped(problem.question),
        reference=clipped(problem.answer),
        turns=[
            ShownTurn(
                agent=f"{'generator' if round_ == 1 else 'critic'} {index}",
                round=round_,
                read=clipped(turn["summary"]) if turn["summary"] else None,
                text=clipped(turn["text"] or ""),
                answer=clipped(turn["answer"]) if turn["answer"] else None,
                right=held.grader.equivalent(turn["answer"], problem.answer),
            )
            for (round_, index), turn in sorted(candidate.turns.items())
            if index in agents[:MAX_AGENTS]
        ],
        left_out=len(agents[MAX_AGENTS:]),
        votes=[
            Voted(
                round=round_,
                answer=clipped(vote.answer) if vote.answer else None,
                votes=vote.votes,
                right=held.grader.equivalent(vote.answer, problem.answer),
            )
            for round_, vote in enumerate(candidate.course.votes, start=1)
        ],
    )


def clipped(text: str, limit: int = MAX_CHARS) -> str:
    """The first characters of a text. Invisible characters, and those that reverse a line, are replaced."""
    cut = text[:limit]
    shown = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in cut.expandtabs(4))
    return shown if len(text) <= limit else f"{shown} … ({len(text) - limit:,} more characters)"
