"""Scores a debate: accuracy of every agent, of every round's majority and of the society, with standard errors.

The standard error of a mean over n problems is s / sqrt(n), with the sample standard deviation s (n-1); for
right-or-wrong values this is sqrt(p (1-p) / (n-1)). Two societies on the same problems are compared problem by problem
(paired), as Miller, "Adding Error Bars to Evals" (2024, arXiv 2411.00640) advises.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from evaluation.answers.grader import Grader
from evaluation.answers.kinds.math import MATH
from evaluation.answers.vote import Tally, tally, vote_seed
from evaluation.frames import text_or_none
from evaluation.problems.problem import Problem
from evaluation.record import Role
from evaluation.scores import AgentScore, DebateScores, ResponseShares, RoundScore
from evaluation.statistics.paired import mean, standard_error

COLUMNS = ("problem_id", "role", "index", "round", "answer")

Ballots = list[tuple[str | None, float]]
"""Per agent, its answer and the weight of its vote."""


def label_accuracy(
    problems: Sequence[Problem], labels: Mapping[str, str | None], *, grader: Grader = MATH
) -> float | None:
    """Share of pseudo-labels that are right, 0..1; None if there are no labels.

    Args:
        problems: with their reference answers; there may be more problems than labels.
        labels: by problem id; a label of None counts as wrong.
        grader: decides which answers are equivalent.

    Raises:
        ValueError: a label belongs to a problem that is not in `problems`.
    """
    if not labels:
        return None
    references = {problem.id: problem.answer for problem in problems}
    unknown = sorted(labels.keys() - references.keys())
    if unknown:
        raise ValueError(f"{len(unknown)} labels belong to problems not in the problem set; the first is {unknown[0]}")
    return mean([grader.equivalent(label, references[problem_id]) for problem_id, label in labels.items()])


def score_debate(
    problems: Sequence[Problem], responses: pd.DataFrame, seed: int, *, grader: Grader = MATH
) -> DebateScores:
    """Score one debate.

    Args:
        problems: the held-out problems, at least one.
        responses: one row per problem, round and agent, in any order, with the columns problem_id (`Problem.id`),
            role (generator in round 1, critic afterwards), index (0..N-1), round (1..M) and answer (text; None, NaN
            or blank for an unparsable one, which is wrong). A column weight, if there is one, weighs the votes, see
            `evaluation.answers.vote.tally`. The columns finished and carried, if there are any, are those of
            `response_shares`. Other columns are ignored.
        seed: breaks ties of the majority votes, see `vote_seed`.
        grader: decides which answers are equivalent.

    Raises:
        ValueError: a column or row is missing, a row is there twice, or a row belongs to a problem not in `problems`.
    """
    rounds = _ballots_by_round(problems, responses)
    scores: list[RoundScore] = []
    shares: list[float] = []
    for number, (indices, ballots) in enumerate(rounds, start=1):
        same = grader.equivalent
        right = np.array([[same(answer, p.answer) for answer, _ in ballots[p.id]] for p in problems], dtype=float)
        votes = [count(ballots[p.id], vote_seed(seed, number, p.id), grader=grader) for p in problems]
        voted = [float(same(vote.answer, p.answer)) for vote, p in zip(votes, problems, strict=True)]
        shares = [sum(vote.agrees) / len(vote.agrees) for vote in votes]
        alone = right.mean(axis=1).tolist()
        here = responses[responses["round"] == number]
        scores.append(
            RoundScore(
                round=number,
                agents=[
                    AgentScore(
                        role=_role(number),
                        index=index,
                        accuracy=float(right[:, place].mean()),
                        **response_shares(here[here["index"] == index]).model_dump(),
                    )
                    for place, index in enumerate(indices)
                ],
                mean_accuracy=mean(alone),
                mean_standard_error=standard_error(alone),
                majority_accuracy=mean(voted),
                majority_standard_error=standard_error(voted),
                consensus=mean(shares),
            )
        )
    return DebateScores(
        problems=len(problems),
        rounds=scores,
        accuracy=scores[-1].majority_accuracy,
        standard_error=scores[-1].majority_standard_error,
        consensus=mean(shares),
        **response_shares(responses).model_dump(),
    )


def response_shares(responses: pd.DataFrame) -> ResponseShares:
    """The shares of responses without an answer and of responses that were cut at the token limit.

    Args:
        responses: one row per response, with the column answer as in `score_debate`. If there is a column finished, it
            says whether a response ended by itself; without it, `cut_share` is None. If there is a column carried, it
            says which rows only repeat a response of the round before; they do not count.
    """
    own = responses[~responses["carried"].astype(bool)] if "carried" in responses else responses
    if own.empty:
        return ResponseShares()
    unanswered = sum(_answer(answer) is None for answer in own["answer"])
    cut = int((~own["finished"].astype(bool)).sum()) if "finished" in own else None
    return ResponseShares(unanswered_share=unanswered / len(own), cut_share=None if cut is None else cut / len(own))


def society_right(
    problems: Sequence[Problem], responses: pd.DataFrame, seed: int, *, grader: Grader = MATH
) -> list[bool]:
    """For each problem, in order: whether the society's answer, the vote of the last round, is right.

    Args:
        problems, responses, seed, grader: as for `score_debate`, whose `accuracy` is the mean of the result.

    Raises:
        ValueError: as `score_debate`.
    """
    rounds = _ballots_by_round(problems, responses)
    _, ballots = rounds[-1]
    votes = (count(ballots[p.id], vote_seed(seed, len(rounds), p.id), grader=grader) for p in problems)
    return [grader.equivalent(vote.answer, p.answer) for vote, p in zip(votes, problems, strict=True)]


def count(ballots: Ballots, seed: str, *, grader: Grader = MATH) -> Tally:
    """The weighted vote of one problem in one round. See `evaluation.answers.vote.tally`."""
    return tally([answer for answer, _ in ballots], seed, [weight for _, weight in ballots], grader=grader)


def _role(round: int) -> Role:
    return "generator" if round == 1 else "critic"


def _answer(value: object) -> str | None:
    answer = text_or_none(value)
    return answer if answer and answer.strip() else None


def _ballots_by_round(
    problems: Sequence[Problem], responses: pd.DataFrame
) -> list[tuple[list[int], dict[str, Ballots]]]:
    """Per round, the agents' indices and by problem id their ballots in that order, checked to be complete."""
    ids = [problem.id for problem in problems]
    _check_frame(ids, responses)
    table: dict[tuple[str, int, int], tuple[str | None, float]] = {}
    weights = responses["weight"].tolist() if "weight" in responses else [1.0] * len(responses)
    rows = zip(*(responses[name].tolist() for name in COLUMNS), weights, strict=True)
    for problem_id, role, index, round, answer, weight in rows:
        key = problem_id, int(round), int(index)
        if role != _role(key[1]):
            raise ValueError(f"a {role} answers in round {round}; generators answer in round 1 and critics afterwards")
        if key in table:
            raise ValueError(f"two responses by {role} {index} to problem {problem_id} in round {round}")
        table[key] = _answer(answer), weight
    indices = sorted({index for _, _, index in table})
    numbers = range(1, max(round for _, round, _ in table) + 1)
    missing = [(i, r, n) for r in numbers for i in ids for n in indices if (i, r, n) not in table]
    if missing:
        problem_id, round, index = missing[0]
        raise ValueError(
            f"{len(missing)} responses are missing, the first by {_role(round)} {index} to problem {problem_id} in "
            f"round {round}; every agent must have answered every problem in every round"
        )
    return [(indices, {i: [table[i, r, n] for n in indices] for i in ids}) for r in numbers]


def _check_frame(ids: list[str], responses: pd.DataFrame) -> None:
    absent = [name for name in COLUMNS if name not in responses.columns]
    if absent:
        raise ValueError(
            f"the responses have no column {absent[0]!r}; they have {', '.join(map(str, responses.columns))}"
        )
    if not ids or responses.empty:
        raise ValueError(f"nothing to score: {len(ids)} problems and {len(responses)} responses")
    if len(set(ids)) < len(ids):
        raise ValueError("the problem set has a problem twice")
    strangers = set(responses["problem_id"]) - set(ids)
    if strangers:
        first = min(map(str, strangers))
        raise ValueError(f"{len(strangers)} problems with responses are not in the problem set; the first is {first}")
    if int(responses["round"].min()) < 1:
        raise ValueError("a response has a round below 1")
