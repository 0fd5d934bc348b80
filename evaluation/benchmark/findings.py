"""Decides from a benchmark's numbers which of the paper's findings hold, each by a rule that is shown with it.

A finding is a set of comparisons. Each comparison is a difference with its standard error, over all seeds and for each
seed alone. A finding holds if all comparisons are as in the paper and none is missing. It does not hold if one differs.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from evaluation.benchmark.methods import METHODS, REFERENCE, MethodName
from evaluation.benchmark.results import Row, Scored, mean_estimate
from evaluation.record import Record
from evaluation.statistics.clustered import Difference, difference, half_interval
from evaluation.statistics.paired import Estimate

CLEAR = 2.0
"""A difference of more than this many standard errors is clear."""
SINGLE: MethodName = "single-ft"
"""The method that is the single agent in the paper's figure 5."""
BASELINES: tuple[MethodName, ...] = (
    "base", "majority", "debate", "majority-matched", "debate-matched", "star", "majority-ft", "single-ft",
    "single-ft-debate",
)  # fmt: skip

Verdict = Literal["holds", "does not hold", "not measured"]
_ABOVE = "clear (more than twice its standard error) over all seeds together and on each seed alone"


class Margin(Record):
    """A difference, and the condition that it must meet for the finding to hold."""

    of: str = Field(description="The difference in words: one thing minus another.")
    found: Difference
    unit: Literal["points", "nats"]
    wanted: Literal["above", "not above", "not below"]

    @property
    def met(self) -> bool:
        """Whether the difference meets the condition.

        above: clearly above zero over all seeds and on each seed. not below: not clearly below zero over all seeds or
        on any seed. not above: not clearly above zero over all seeds.
        """
        return self.met_together and (self.wanted == "not above" or all(map(self._is, self.found.seeds.values())))

    @property
    def met_together(self) -> bool:
        """Whether the condition is met over all seeds together, whether or not on each seed."""
        return self._is(self.found)

    def _is(self, found: Estimate | Difference) -> bool:
        clear = CLEAR * found.standard_error
        return {
            "above": found.value > clear,
            "not above": found.value <= clear,
            "not below": found.value >= -clear,
        }[self.wanted]


class Finding(Record):
    """One of the paper's findings, and whether it holds here."""

    title: str
    verdict: Verdict
    said: str = Field(description="The result in plain words, with the main numbers.")
    rule: str
    comparisons: list[Margin]
    missing: list[str] = Field(description="What was not measured.")


def findings(rows: Sequence[Row], scored: Sequence[Scored], transfer: Sequence[Row] = ()) -> list[Finding]:
    """All findings, in the paper's order.

    Args:
        rows: from `evaluation.benchmark.results.summarise`.
        scored: the outcomes from which the rows were made.
        transfer: rows of the same methods on problems from another source than the training problems, if measured.
    """
    measured, last = _ended(rows)
    first = {row.method: row for row in rows if row.iteration == 1 < last}
    return [
        _beats(measured, last),
        _lasts(scored, last),
        _diverse(scored, last),
        _part(measured, first, "without-critics", "Critics are worth their cost"),
        _part(measured, first, "without-summary", "Summaries are worth their cost"),
        _part(measured, first, "pooled", "Learning from one's own words alone helps"),
        _transfers(_ended(transfer)[0]),
    ]


def _ended(rows: Sequence[Row]) -> tuple[dict[MethodName, Row], int]:
    """The row of every method after the last iteration of multiagent finetuning, and that iteration."""
    last = max((row.iteration for row in rows if row.method == REFERENCE), default=0)
    return {row.method: row for row in sorted(rows, key=lambda row: row.iteration) if row.iteration <= last}, last


def signed(value: float, error: float, unit: str) -> str:
    """A difference with its error, such as +3.1 ± 0.9 points; nats have four decimals."""
    scale, decimals = (100.0, 1) if unit == "points" else (1.0, 4)
    return f"{scale * value:+.{decimals}f} ± {scale * error:.{decimals}f} {unit}".replace("-", "−")


def _decided(title: str, said: str, rule: str, comparisons: list[Margin], missing: Iterable[str]) -> Finding:
    missing = list(missing)
    failed = not all(each.met for each in comparisons)
    verdict: Verdict = "does not hold" if failed else "not measured" if missing or not comparisons else "holds"
    return Finding(title=title, verdict=verdict, said=said, rule=rule, comparisons=comparisons, missing=missing)


def _behind(row: Row) -> list[Margin]:
    of = f"{METHODS[REFERENCE].title} − {METHODS[row.method].title}"
    return [Margin(of=of, found=row.behind, unit="points", wanted="above")] if row.behind else []


def _beats(measured: Mapping[MethodName, Row], last: int) -> Finding:
    found = {name: each for name in BASELINES if name in measured for each in _behind(measured[name])}
    title = "Multiagent finetuning beats every baseline"
    said = "Multiagent finetuning is not part of this benchmark."
    if REFERENCE in measured:
        said = f"Its accuracy is {100 * measured[REFERENCE].accuracy.value:.1f} % after {iterations(last)}."
    if found:
        closest = min(found, key=lambda name: found[name].found.value)
        gap = found[closest].found
        said += f" Against the strongest of {len(found)} baselines, {METHODS[closest].title}, its lead is "
        said += f"{signed(gap.value, gap.standard_error, 'points')}."
    unclear = [METHODS[name].title for name, each in found.items() if not each.met]
    said += f" It is not clearly above: {'; '.join(unclear)}." if unclear else ""
    rule = f"Its lead over each baseline, matched ones included, is {_ABOVE}."
    return _decided(title, said, rule, [*found.values()], [METHODS[n].title for n in BASELINES if n not in found])


def _lasts(scored: Sequence[Scored], last: int) -> Finding:
    title = "Its gains last where a single agent's plateau"
    rule = (
        "Multiagent FT's gain since iteration 1 is "
        f"{_ABOVE}, and its accuracy has not clearly fallen since any iteration in between, on any seed. "
        "Single-agent FT's gain over all seeds is not clear."
    )
    right: dict[tuple[MethodName, int], dict[int, Mapping[str, float]]] = {}
    for each in scored:
        right.setdefault((each.outcome.method, each.outcome.iteration), {})[each.outcome.seed] = each.right
    comparisons: list[Margin] = []
    told: list[str] = []
    for name in (REFERENCE, SINGLE):
        if last < 2 or (name, 1) not in right or (name, last) not in right:
            continue
        gain = difference(right[name, last], right[name, 1])
        told.append(f"{METHODS[name].title} {signed(gain.value, gain.standard_error, 'points')}")
        wanted: Literal["above", "not above"] = "above" if name == REFERENCE else "not above"
        of = f"{METHODS[name].title}: iteration {last} − iteration "
        comparisons.append(Margin(of=f"{of}1", found=gain, unit="points", wanted=wanted))
        for between in range(2, last) if name == REFERENCE else ():
            change = difference(right[name, last], right[name, between])
            comparisons.append(Margin(of=f"{of}{between}", found=change, unit="points", wanted="not below"))
    said = f"From iteration 1 to {last}: {', '.join(told)}." if told else "Deciding this takes two iterations or more."
    missing = [METHODS[n].title for n in (REFERENCE, SINGLE) if last < 2 or (n, last) not in right]
    return _decided(title, said, rule, comparisons, missing)


def _diverse(scored: Sequence[Scored], last: int) -> Finding:
    title = "The society stays diverse"
    rule = (
        "The negative log-likelihood of the others' responses (NLL) has not clearly fallen since iteration 1, on any "
        f"seed, and its lead over single-agent FT's NLL is {_ABOVE}. The two errors are combined as independent."
    )
    nll: dict[tuple[MethodName, int], dict[int, Estimate]] = {}
    for each in scored:
        if each.outcome.diversity and each.outcome.diversity.nll:
            key = each.outcome.method, each.outcome.iteration
            nll.setdefault(key, {})[each.outcome.seed] = each.outcome.diversity.nll
    comparisons: list[Margin] = []
    told: list[str] = []
    missing: list[str] = []
    for name in (REFERENCE, SINGLE):
        if (name, 1) in nll and (name, last) in nll:
            ends = (math.fsum(each.value for each in nll[name, i].values()) / len(nll[name, i]) for i in (1, last))
            told.append(f"{METHODS[name].title} {' → '.join(f'{end:.4f}' for end in ends)}")
    if last > 1 and (REFERENCE, 1) in nll and (REFERENCE, last) in nll:
        change = _independent(nll[REFERENCE, last], nll[REFERENCE, 1])
        of = f"NLL of {METHODS[REFERENCE].title}: iteration {last} − iteration 1"
        comparisons.append(Margin(of=of, found=change, unit="nats", wanted="not below"))
    else:
        missing.append(f"NLL of {METHODS[REFERENCE].title} after two iterations or more")
    if (REFERENCE, last) in nll and (SINGLE, last) in nll:
        lead = _independent(nll[REFERENCE, last], nll[SINGLE, last])
        of = f"NLL of {METHODS[REFERENCE].title} − of {METHODS[SINGLE].title}, iteration {last}"
        comparisons.append(Margin(of=of, found=lead, unit="nats", wanted="above"))
    else:
        missing.append(f"NLL of {METHODS[SINGLE].title}")
    said = f"NLL, nats per token, iteration 1 → {last}: {', '.join(told)}." if told else "NLL was not measured."
    return _decided(title, said + _apart(scored, last), rule, comparisons, missing)


def _apart(scored: Sequence[Scored], last: int) -> str:
    """A sentence about the two parts of NLL: how unsure an agent is of its own words, and how far agents are apart."""
    ends = []
    for iteration in (1, last):
        outcomes = (each.outcome for each in scored)
        found = [o for o in outcomes if (o.method, o.iteration) == (REFERENCE, iteration)]
        pairs = [(d.own_nll.value, d.kl.value) for d in (each.diversity for each in found) if d and d.own_nll and d.kl]
        if not pairs:
            return ""
        ends.append([math.fsum(values) / len(pairs) for values in zip(*pairs, strict=True)])
    (own, apart), (own_last, apart_last) = ends
    return (
        f" For {METHODS[REFERENCE].title}, NLL of an agent's own responses went {own:.4f} → {own_last:.4f}, "
        f"and the KL divergence between agents {apart:.4f} → {apart_last:.4f}."
    )


def _independent(a: Mapping[int, Estimate], b: Mapping[int, Estimate]) -> Difference:
    """a - b of unpaired estimates, for each seed and as a mean over seeds with a normal confidence interval."""
    seeds = {
        seed: Estimate(
            value=a[seed].value - b[seed].value,
            standard_error=math.hypot(a[seed].standard_error, b[seed].standard_error),
        )
        for seed in sorted(a.keys() & b.keys())
    }
    mean = mean_estimate([*seeds.values()])
    if mean is None:
        raise ValueError(f"no seed in common: {sorted(a)} and {sorted(b)}")
    half = half_interval(mean.standard_error)
    return Difference(
        value=mean.value,
        standard_error=mean.standard_error,
        low=mean.value - half,
        high=mean.value + half,
        seeds=seeds,
    )


def _part(measured: Mapping[MethodName, Row], first: Mapping[MethodName, Row], name: MethodName, title: str) -> Finding:
    """Whether a part of multiagent finetuning helps: its lead over the method `name`, which lacks that part.

    `first` has the rows after one iteration, if there were more iterations.
    """
    comparisons = _behind(measured[name]) if name in measured else []
    said = "This was not measured."
    if comparisons:
        gap, spent = comparisons[0].found, measured[REFERENCE].cost.sampled_tokens
        ratio = spent / max(1, measured[name].cost.sampled_tokens)
        said = f"{comparisons[0].of}: {signed(gap.value, gap.standard_error, 'points')}, "
        said += f"for {ratio:.1f} times the sampled tokens."
        early = first[name].behind if name in first else None
        if early:
            said += " After one iteration it was "
            said += f"{signed(early.value, early.standard_error, 'points')}."
    rule = f"The lead of {METHODS[REFERENCE].title} over “{METHODS[name].title}” is {_ABOVE}."
    return _decided(title, said, rule, comparisons, [] if comparisons else [METHODS[name].title])


def _transfers(measured: Mapping[MethodName, Row]) -> Finding:
    comparisons = [each for name in BASELINES if name in measured for each in _behind(measured[name])]
    said = "This was not measured."
    if comparisons:
        met = sum(each.met for each in comparisons)
        said = f"It is clearly above {met} of {len(comparisons)} baselines on problems of another kind."
    rule = f"On these problems, its lead over each measured baseline is {_ABOVE}."
    missing = [] if comparisons else ["problems of another source"]
    return _decided("What it learned transfers", said, rule, comparisons, missing)


def iterations(number: int) -> str:
    """1 iteration, 5 iterations."""
    return f"{number} iteration{'' if number == 1 else 's'}"
