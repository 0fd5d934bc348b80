"""A benchmark's rows and tables. Run: pytest tests/evaluation/test_benchmark_rows.py"""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from rich.table import Table

from evaluation.benchmark.methods import METHODS, MethodName
from evaluation.benchmark.results import Changes, Cost, Outcome, Row, Scored, changes, problem_values, summarise
from evaluation.problems.problem import Problem
from evaluation.reporting.benchmark_table import (
    benchmark_markdown,
    iterations_table,
    methods_table,
    responses_table,
    transfer_table,
)


def scored(method: MethodName, iteration: int, seed: int, right: list[float], **fields: object) -> Scored:
    answering = Cost(sampled_tokens=1000 * seed, seconds=1.0)
    training = Cost(sampled_tokens=10 * iteration, trained_tokens=100 * iteration, seconds=2.0) if iteration else Cost()
    outcome = Outcome(
        method=method,
        iteration=iteration,
        seed=seed,
        problems=len(right),
        accuracy=sum(right) / len(right),
        alone=0.5,
        training=training,
        answering=answering,
        **fields,
    )
    ids = [f"{seed}-{place}" for place in range(len(right))]
    return Scored(outcome, dict(zip(ids, right, strict=True)), dict.fromkeys(ids, 0.5))


BASE = [scored("base", 0, 1, [1, 0, 0, 0]), scored("base", 0, 2, [0, 0, 0, 1])]
MULTIAGENT = [
    scored("multiagent-ft", iteration, seed, right, pseudo_label_accuracy=labels)
    for iteration, seed, right, labels in [
        (0, 1, [1, 0, 0, 0], None),
        (0, 2, [0, 1, 0, 1], None),
        (1, 1, [1, 1, 0, 0], 0.5),
        (1, 2, [1, 1, 0, 1], 0.7),
        (2, 1, [1, 1, 1, 0], 0.8),
        (2, 2, [1, 1, 0, 1], 1.0),
    ]
]
STAR = [scored("star", i, s, [0, 1, 0, 0] if i == 0 else [1, 1, 1, 1]) for i in range(3) for s in (1, 2)]


def test_rows_by_hand() -> None:
    rows = summarise([*MULTIAGENT, *STAR, *BASE])
    assert [(row.method, row.iteration) for row in rows] == [
        ("base", 0), *[("star", i) for i in range(3)], *[("multiagent-ft", i) for i in range(3)],
    ]  # fmt: skip
    by_key = {(row.method, row.iteration): row for row in rows}
    base, star, last = by_key["base", 0], by_key["star", 1], by_key["multiagent-ft", 2]
    assert (base.accuracy.value, star.accuracy.value, last.accuracy.value) == (0.25, 1.0, 0.75)
    assert base.behind and star.behind and last.behind is None
    # The base is compared with the last iteration; a method with iterations is compared with the same iteration.
    assert base.behind.value == pytest.approx(0.75 - 0.25)
    assert star.behind.value == pytest.approx(5 / 8 - 1)
    assert {seed: each.value for seed, each in base.behind.seeds.items()} == {1: 0.5, 2: 0.5}
    assert last.pseudo_label_accuracy == pytest.approx(0.9) and base.pseudo_label_accuracy is None
    # The cost is that of training both iterations and of the answers of the last, as the mean over the seeds.
    assert last.cost == Cost(sampled_tokens=30 + 1500, trained_tokens=300, seconds=5.0)
    assert base.cost == Cost(sampled_tokens=1500, seconds=1.0)


def test_without_multiagent_finetuning_nothing_is_compared() -> None:
    assert [row.behind for row in summarise(BASE)] == [None]


def test_an_outcome_that_is_missing_or_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="every seed"):
        summarise([*BASE, *MULTIAGENT[:-1]])
    with pytest.raises(ValueError, match="base, iteration 0: two outcomes for one seed"):
        summarise([*BASE, BASE[0]])


def test_values_of_problems_by_hand() -> None:
    problems = [Problem(question=f"What is {n}?", answer=str(n)) for n in (5, 6)]
    answers = {
        (0, 1): ["5", "5.0", "4"], (0, 2): ["4", "4", "5"],
        (1, 1): ["6", None, "7"], (1, 2): ["6", "12/2", None],
    }  # fmt: skip
    rows = [
        (problems[place].id, "generator" if round_ == 1 else "critic", index, round_, answer)
        for (place, round_), given in answers.items()
        for index, answer in enumerate(given)
    ]
    frame = pd.DataFrame(rows, columns=["problem_id", "role", "index", "round", "answer"])
    five, six = (problem.id for problem in problems)
    alone = {five: 2 / 3, six: 1 / 3}
    assert problem_values(problems, frame, 1, "debate") == ({five: 0.0, six: 1.0}, alone)
    first = frame[frame["round"] == 1]
    assert problem_values(problems, first[first["index"] < 2], 1, "vote")[0] == {five: 1.0, six: 1.0}
    assert problem_values(problems, first, 1, "sample") == (alone, alone)


def test_changes_by_hand() -> None:
    problems = [Problem(question=f"What is {n}?", answer=str(n)) for n in (5, 6)]
    five, six = (problem.id for problem in problems)
    # The answers of three rounds; agent 1 gives no answer to problem five in the second round.
    said = {
        (five, 0): ["5", "5", "4"],
        (five, 1): ["4", None, "5"],
        (six, 0): ["6", "5", "5"],
        (six, 1): ["5", "6", "6"],
    }
    rows = [(id_, n, i, answer) for (id_, n), answers in said.items() for i, answer in enumerate(answers, start=1)]
    frame = pd.DataFrame(rows, columns=["problem_id", "index", "round", "answer"]).sample(frac=1, random_state=1)
    assert changes(problems, frame) == Changes(wrong=4, corrected=2, right=4, spoiled=2)
    assert changes(problems, frame[frame["round"] == 1]) is None


def printed(table: Table) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=80, color_system=None).print(table)
    return file.getvalue().splitlines()


def test_tables_fit_80_columns_uncut() -> None:
    wide = Cost(sampled_tokens=123_456_789, trained_tokens=123_456_789, seconds=9_876.0)
    everything = [
        Scored(
            each.outcome.model_copy(update={"method": name, "answering": wide, "training": wide}),
            each.right,
            each.alone,
        )
        for name in METHODS.names()
        for each in (
            scored(name, i, s, [1.0] * 3 if name == "multiagent-ft" else [0.0, 0.0, i % 2])
            for i in range(9)
            for s in (1, 2)
        )
    ]
    rows = summarise(everything)
    for lines in (
        printed(methods_table(rows, "x" * 41)),
        printed(transfer_table(rows, "x" * 30)),
        printed(iterations_table(rows, "arith")),
    ):
        text = "\n".join(lines)
        assert max(map(len, lines)) <= 80 and "…" not in text
        assert all(
            sum(line.lstrip().startswith(METHODS[name].title + " ") for line in lines) >= 1 for name in METHODS.names()
        )
    assert "Iterations 1 to 3 are left out." in text
    markdown = benchmark_markdown(rows, [], "arith", [1, 2])
    assert markdown.count("| multiagent FT |") == 2 and "seeds 1, 2" in markdown
    assert benchmark_markdown(rows, rows, "arith", [1, 2]).count("| multiagent FT |") == 3


def test_a_method_without_a_reference_has_no_difference_to_show() -> None:
    assert any(
        line.split()[:4] == ["base", "50.0", "25.0±16.4", "0.00"]
        for line in printed(methods_table(summarise(BASE), "a"))
    )


def test_shares_of_failed_responses_are_means_over_seeds_and_have_a_table() -> None:
    shares = {1: (0.25, 0.5), 2: (0.75, None)}
    counted = [
        scored("base", 0, seed, [1.0, 0.0], unanswered_share=unanswered, cut_share=cut)
        for seed, (unanswered, cut) in shares.items()
    ]
    (row,) = rows = summarise(counted)
    assert (row.unanswered_share, row.cut_share) == (0.5, 0.5)
    assert any(line.split() == ["base", "50.0", "50.0"] for line in printed(responses_table(rows, "arith")))
    assert "| base | 50.0 | 50.0 |" in benchmark_markdown(rows, [], "arith", [1, 2])


def test_the_benchmark_in_docs_from_before_they_were_counted_gives_the_same_tables() -> None:
    folder = Path(__file__).parents[2] / "docs" / "benchmark"
    told = json.loads((folder / "benchmark.json").read_text("utf-8"))
    rows, transfer = ([Row.model_validate(row) for row in told[name]] for name in ("rows", "transfer"))
    outcomes = [Outcome.model_validate(each) for each in told["outcomes"]]
    assert len(outcomes) > 100
    made = benchmark_markdown(rows, transfer, "paper", sorted({each.seed for each in outcomes}))
    committed = (folder / "tables.md").read_text("utf-8")
    # Descriptions of methods below the tables have changed since.
    tables = [[line for line in text.splitlines() if not line.startswith("- **")] for text in (made, committed)]
    assert tables[0] == tables[1]
