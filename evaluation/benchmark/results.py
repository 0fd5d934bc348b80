"""Results of a benchmark: accuracies over seeds and problems, paired differences, and each method's cost."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from pydantic import Field

from evaluation.answers.grader import Grader
from evaluation.answers.kinds.math import MATH
from evaluation.benchmark.methods import METHODS, REFERENCE, MethodName
from evaluation.frames import text_or_none
from evaluation.measures.debates import society_right
from evaluation.measures.diversity import Diversity
from evaluation.problems.problem import Problem
from evaluation.record import Record
from evaluation.scores import ResponseShares, RoundScore
from evaluation.statistics.clustered import Difference, Values, difference, estimate
from evaluation.statistics.paired import Estimate


class Cost(Record):
    """The cost of some work. Work that methods share counts for each of them, although the cache does it once."""

    sampled_tokens: int = 0
    trained_tokens: int = Field(default=0, description="Tokens of all examples times epochs, prompts included.")
    seconds: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            sampled_tokens=self.sampled_tokens + other.sampled_tokens,
            trained_tokens=self.trained_tokens + other.trained_tokens,
            seconds=self.seconds + other.seconds,
        )


class Changes(Record):
    """How agents' answers changed from one round to the next, over all agents, problems and rounds."""

    wrong: int = Field(description="Wrong answers before the last round, which could be corrected.")
    corrected: int = Field(description="Wrong answers whose agent was right in the next round.")
    right: int
    spoiled: int = Field(description="Right answers whose agent was wrong in the next round.")


class Outcome(ResponseShares):
    """One method after one iteration under one seed; iteration 0 is before any finetuning.

    The response shares are those of its answers to the held-out problems.
    """

    method: MethodName
    iteration: int = Field(ge=0)
    seed: int
    problems: int = Field(ge=1)
    transfer: bool = Field(default=False, description="Whether these are problems of another kind (transfer).")
    accuracy: float = Field(description="Share of held-out problems that the method answers right.")
    alone: float = Field(description="Share that a single agent answers right in round 1, mean over agents.")
    pseudo_label_accuracy: float | None = Field(
        default=None, description="Share of the labels learned from that are right; None unless they are voted."
    )
    labels: int = Field(default=0, description="How many problems had a label to learn from.")
    examples: int = Field(default=0, description="Number of examples in all agents' datasets.")
    unchanged: list[str] = Field(default_factory=list, description="Agents that had nothing to learn from.")
    fallback_share: float | None = Field(
        default=None, description="Share of this iteration's JSON messages that were not valid; None without messages."
    )
    training_responses: ResponseShares = Field(
        default=ResponseShares(), description="Shares of the responses to this iteration's training problems."
    )
    training: Cost = Field(default=Cost(), description="Cost of training in this iteration alone.")
    answering: Cost = Field(description="Cost of answering the held-out problems.")
    diversity: Diversity | None = None
    rounds: list[RoundScore] = Field(
        default_factory=list, description="Scores of all agents and votes; not kept for the matched methods."
    )
    changes: Changes | None = Field(default=None, description="Changes between rounds; None for one round.")


class Scored(NamedTuple):
    """An outcome with two values per problem id: whether the answer is right, and the share right in round 1."""

    outcome: Outcome
    right: Mapping[str, float]
    alone: Mapping[str, float]


class Row(ResponseShares):
    """One method after one iteration, over all seeds. Its cost, a mean over seeds, includes all iterations so far.

    The response shares are means over seeds, on the held-out problems.
    """

    method: MethodName
    iteration: int
    accuracy: Estimate
    alone: Estimate
    behind: Difference | None = Field(
        description="Multiagent finetuning minus this method, after the same iteration; after the last iteration for "
        "methods without iterations. None if multiagent finetuning is not part of the benchmark."
    )
    pseudo_label_accuracy: float | None = Field(description="Mean over seeds.")
    cost: Cost
    nll: Estimate | None = Field(default=None, description="NLL of the others' responses, nats per token.")
    kl: Estimate | None = None
    dissimilarity: Estimate | None = None
    consensus: Estimate | None = None


def problem_values(
    problems: Sequence[Problem], responses: pd.DataFrame, seed: int, answers: str, *, grader: Grader = MATH
) -> tuple[dict[str, float], dict[str, float]]:
    """By problem id: whether the method's answer is right (1, 0), and the share of its agents right in round 1.

    Args:
        problems, responses, seed, grader: as for `evaluation.measures.debates.society_right`.
        answers: `Method.answers`; for `sample` both results are the share right in round 1.
    """
    references = {problem.id: problem.answer for problem in problems}
    firsts: dict[str, list[bool]] = defaultdict(list)
    first = responses[responses["round"] == 1]
    for id_, answer in zip(first["problem_id"], first["answer"], strict=True):
        firsts[id_].append(grader.equivalent(text_or_none(answer), references[id_]))
    alone = {problem.id: sum(firsts[problem.id]) / len(firsts[problem.id]) for problem in problems}
    if answers == "sample":
        return alone, alone
    voted = society_right(problems, responses, seed, grader=grader)
    return {problem.id: float(right) for problem, right in zip(problems, voted, strict=True)}, alone


def changes(problems: Sequence[Problem], responses: pd.DataFrame, *, grader: Grader = MATH) -> Changes | None:
    """How often agents corrected and spoiled their own answers after reading the others; None for a single round.

    Args:
        problems, responses, grader: as for `evaluation.measures.debates.score_debate`.
    """
    references = {problem.id: problem.answer for problem in problems}
    columns = (responses[name] for name in ("problem_id", "index", "round", "answer"))
    right = {
        (id_, index, round_): grader.equivalent(text_or_none(answer), references[id_])
        for id_, index, round_, answer in zip(*columns, strict=True)
    }
    pairs = [
        (was, right[id_, index, round_ + 1])
        for (id_, index, round_), was in right.items()
        if (id_, index, round_ + 1) in right
    ]
    if not pairs:
        return None
    return Changes(
        wrong=sum(not was for was, _ in pairs),
        corrected=sum(now and not was for was, now in pairs),
        right=sum(was for was, _ in pairs),
        spoiled=sum(was and not now for was, now in pairs),
    )


def summarise(scored: Sequence[Scored]) -> list[Row]:
    """A row for every method and iteration, in the order of the methods, for one kind of problems.

    Raises:
        ValueError: a method has no outcome for a seed that another method has, or it has two.
    """
    found: dict[tuple[MethodName, int], dict[int, Scored]] = defaultdict(dict)
    for each in scored:
        seeds = found[each.outcome.method, each.outcome.iteration]
        if each.outcome.seed in seeds:
            raise ValueError(f"{each.outcome.method}, iteration {each.outcome.iteration}: two outcomes for one seed")
        seeds[each.outcome.seed] = each
    if len({frozenset(seeds) for seeds in found.values()}) > 1:
        raise ValueError("every method and iteration needs an outcome for every seed")
    last = max((iteration for _, iteration in found), default=0)
    rows = []
    for name, iteration in sorted(found, key=lambda key: (METHODS.names().index(key[0]), key[1])):
        own = found[name, iteration]
        follows = METHODS[name].finetuned or METHODS[name].matched
        reference = found.get((REFERENCE, iteration if follows else last))
        behind = difference(_right(reference), _right(own)) if reference and name != REFERENCE else None
        rows.append(_row(name, iteration, own, found, behind))
    return rows


def _row(
    name: MethodName,
    iteration: int,
    own: Mapping[int, Scored],
    found: Mapping[tuple[MethodName, int], Mapping[int, Scored]],
    behind: Difference | None,
) -> Row:
    outcomes = [each.outcome for each in own.values()]
    training = [
        found[name, before][seed].outcome.training
        for before in range(1, iteration + 1)
        if (name, before) in found
        for seed in own
    ]
    measured = [o.diversity for o in outcomes if o.diversity]
    return Row(
        method=name,
        iteration=iteration,
        accuracy=estimate(_right(own))[0],
        alone=estimate({seed: each.alone for seed, each in own.items()})[0],
        behind=behind,
        unanswered_share=_mean_or_none([o.unanswered_share for o in outcomes]),
        cut_share=_mean_or_none([o.cut_share for o in outcomes]),
        pseudo_label_accuracy=_mean_or_none([o.pseudo_label_accuracy for o in outcomes]),
        cost=_mean_cost([*training, *(o.answering for o in outcomes)], len(own)),
        nll=mean_estimate([d.nll for d in measured]),
        kl=mean_estimate([d.kl for d in measured]),
        dissimilarity=mean_estimate([d.dissimilarity for d in measured]),
        consensus=mean_estimate([d.consensus for d in measured]),
    )


def _right(by_seed: Mapping[int, Scored]) -> Values:
    return {seed: each.right for seed, each in by_seed.items()}


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    """The mean of the values that are known; None if none is."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _mean_cost(costs: Sequence[Cost], seeds: int) -> Cost:
    total = sum(costs, Cost())
    return Cost(
        sampled_tokens=round(total.sampled_tokens / seeds),
        trained_tokens=round(total.trained_tokens / seeds),
        seconds=total.seconds / seeds,
    )


def mean_estimate(estimates: Sequence[Estimate | None]) -> Estimate | None:
    """Mean over seeds. Its error is the larger of the error between seeds and the error within seeds."""
    known = [each for each in estimates if each is not None]
    if not known:
        return None
    n = len(known)
    mean = math.fsum(each.value for each in known) / n
    within = math.fsum(each.standard_error**2 for each in known) / n**2
    between = math.fsum((each.value - mean) ** 2 for each in known) / (n * (n - 1)) if n > 1 else 0.0
    return Estimate(value=mean, standard_error=math.sqrt(max(within, between)))
