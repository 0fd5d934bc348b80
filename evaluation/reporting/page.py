"""Renders a benchmark as one HTML page, without scripts and without fonts or pictures from elsewhere.

The template escapes all text, also text that models wrote. Only the plots, which contain no such text, are inserted
without escaping.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from evaluation.benchmark.debates import KINDS, Debate, clipped
from evaluation.benchmark.findings import Finding, findings, iterations
from evaluation.benchmark.methods import METHODS, REFERENCE, MethodName
from evaluation.benchmark.paper import MODELS, Source, accuracies, nearest
from evaluation.benchmark.results import Outcome, Row, Scored
from evaluation.record import Record
from evaluation.reporting import plots
from evaluation.reporting.advice import benchmark_warnings
from evaluation.reporting.tables import percent, share
from evaluation.statistics.clustered import Difference

TEMPLATE = "page.html"
DEBATING: tuple[MethodName, ...] = (REFERENCE, "single-ft-debate")
"""Methods whose changes of answers are shown: a society with critics, and one model that debates with itself."""


class Making(Record):
    """How a benchmark was made."""

    society: str
    base: str
    base_sha256: str
    problems: str = Field(description="Source of the training problems.")
    transfer: str | None = Field(default=None, description="Source of the problems of another kind.")
    begun: str = Field(description="Time of the start, UTC.")
    ended: str
    command: str = Field(description="The command that repeats the benchmark.")
    max_new_tokens: int | None = Field(default=None, description="The limit of one response, sampling.max_new_tokens.")
    config: str = Field(description="All settings, as JSON.")
    versions: dict[str, str]
    run_id: str


@dataclass(frozen=True)
class Report:
    """Everything that the page shows."""

    rows: list[Row]
    scored: list[Scored]
    debates: list[Debate]
    transfer: list[Row]
    """Rows for problems from another source than the training problems; empty if that was not measured."""
    making: Making

    @property
    def findings(self) -> list[Finding]:
        """The paper's findings, and whether each holds here."""
        return findings(self.rows, self.scored, self.transfer)


def render(report: Report) -> str:
    """The page as HTML.

    Raises:
        ValueError: the report has no rows.
    """
    if not report.rows:
        raise ValueError("a report needs rows, but the benchmark has none")
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clipped": clipped, "signed": _signed, "number": _number}
    outcomes = [each.outcome for each in report.scored]
    last = max(row.iteration for row in report.rows)
    source = nearest(report.making.problems)
    # Safe without escaping: the plots contain only our own words and numbers, and no input.
    drawn = {
        "accuracy": Markup(plots.accuracy_plot(report.rows) or "Not measured."),  # noqa: S704
        "paper": Markup(plots.paper_plot()),  # noqa: S704
        "diversity": [Markup(plot) for plot in plots.diversity_plots(report.rows)],  # noqa: S704
        "cost": Markup(plots.cost_plot(report.rows)),  # noqa: S704
    }
    return environment.get_template(TEMPLATE).render(
        making=report.making,
        findings=report.findings,
        warnings=benchmark_warnings(outcomes, report.making.max_new_tokens),
        plots=drawn,
        table=_table(report.rows),
        transfer=_table(report.transfer),
        models=MODELS,
        source=source,
        paper=_paper(report.rows, source),
        agents=_agents(outcomes),
        changes=_changes(outcomes),
        debates=report.debates,
        kinds=KINDS,
        methods=METHODS,
        seeds=sorted({each.seed for each in outcomes}),
        problems=sorted({each.problems for each in outcomes}),
        last=last,
        length=iterations(last),
        reference=METHODS[REFERENCE].title,
    )


def _table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One table line per method, after its last iteration."""
    last = {row.method: row for row in sorted(rows, key=lambda row: row.iteration)}
    return [
        {
            "method": METHODS[name],
            "reference": name == REFERENCE,
            "alone": f"{100 * row.alone.value:.1f}",
            "accuracy": _spaced(percent(row.accuracy.value, row.accuracy.standard_error)),
            "behind": row.behind,
            "unanswered": share(row.unanswered_share),
            "cut": share(row.cut_share),
            "labels": "" if row.pseudo_label_accuracy is None else f"{100 * row.pseudo_label_accuracy:.1f}",
            "sampled": _millions(row.cost.sampled_tokens),
            "trained": _millions(row.cost.trained_tokens),
            "seconds": f"{row.cost.seconds:,.0f}",
        }
        for name, row in sorted(last.items(), key=lambda item: METHODS.names().index(item[0]))
    ]


def _paper(rows: Sequence[Row], source: Source) -> list[dict[str, Any]]:
    """One table line per method that is also in the paper, after one iteration as in the paper."""
    first = {row.method: row for row in rows if row.iteration == (1 if METHODS[row.method].finetuned else 0)}
    lines = []
    for name in METHODS.names():
        theirs = accuracies(name, source)
        if theirs and name in first:
            ours = first[name].accuracy
            lines.append(
                {
                    "title": METHODS[name].title,
                    "ours": _spaced(percent(ours.value, ours.standard_error)),
                    "source": theirs[0],
                    "theirs": ["–" if value is None else f"{value:.1f}" for value in theirs[1]],
                }
            )
    return lines


def _agents(outcomes: Sequence[Outcome]) -> dict[str, Any] | None:
    """Accuracy of every agent and vote of multiagent finetuning by round and iteration, mean over seeds, shaded."""
    values: dict[tuple[int, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for outcome in outcomes:
        for score in outcome.rounds if outcome.method == REFERENCE else ():
            for agent in score.agents:
                values[score.round, f"{agent.role} {agent.index}"][outcome.iteration].append(agent.accuracy)
            values[score.round, "vote"][outcome.iteration].append(score.majority_accuracy)
    if not values:
        return None
    means = {key: {i: 100 * math.fsum(v) / len(v) for i, v in by.items()} for key, by in values.items()}
    every = [mean for by in means.values() for mean in by.values()]
    # At least ten points from light to dark, so that a difference of one point looks small.
    dark, light = max(every), min(*every, max(every) - 10)
    numbers = sorted({i for by in means.values() for i in by})
    rounds: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for (round_, name), by in means.items():
        cells = [(f"{by[i]:.0f}", round(100 * (by[i] - light) / (dark - light))) if i in by else None for i in numbers]
        rounds[round_].append({"name": name, "cells": cells})
    return {"iterations": numbers, "rounds": dict(sorted(rounds.items()))}


def _changes(outcomes: Sequence[Outcome]) -> dict[str, Any] | None:
    """By iteration, percent of wrong answers corrected and of right ones spoiled, by critics and by a single model."""
    sums: dict[tuple[MethodName, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for outcome in outcomes:
        if outcome.method in DEBATING and (own := outcome.changes):
            counts = (own.corrected, own.wrong, own.spoiled, own.right)
            before = sums[outcome.method, outcome.iteration]
            before[:] = [a + b for a, b in zip(before, counts, strict=True)]
    numbers = sorted({i for _, i in sums})
    lines = [
        (kind, METHODS[name].title, [_share(*sums[name, i][place : place + 2]) for i in numbers])
        for place, kind in ((0, "wrong answers corrected"), (2, "right answers spoiled"))
        for name in DEBATING
        if any(method == name for method, _ in sums)
    ]
    return {"iterations": numbers, "lines": lines} if lines else None


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "–"


def _signed(found: Difference, unit: str) -> dict[str, str]:
    """A difference in points or nats: its value with the error, and its confidence interval."""
    scale, decimals = (100.0, 1) if unit == "points" else (1.0, 4)
    value, low, high = (_number(scale * each, decimals) for each in (found.value, found.low, found.high))
    return {"value": f"{value} ± {scale * found.standard_error:.{decimals}f}", "interval": f"{low} to {high}"}


def _number(value: float, decimals: int) -> str:
    """A number with its sign, the minus as wide as the plus."""
    return f"{value:+.{decimals}f}".replace("-", "−")


def _spaced(text: str) -> str:
    return text.replace("±", " ± ")


def _millions(tokens: int) -> str:
    return f"{tokens / 1e6:.2f}" if tokens else "–"
