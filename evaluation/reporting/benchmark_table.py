"""A benchmark's rows as tables: for the terminal, 80 columns wide, and for the pages of MLflow and Prefect."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from evaluation.benchmark.methods import METHODS
from evaluation.benchmark.results import Row
from evaluation.reporting.markdown import escaped, markdown_table
from evaluation.reporting.tables import percent, share

MAX_ITERATIONS = 6
"""Most iterations in the table of iterations: the first one and the last ones."""
TRANSFER = ("method", "one sample", "answer", "behind", "95 % interval")
"""Columns of the table about problems of another kind."""
RESPONSES = ("method", "no answer", "cut")
"""Columns of the table about responses without an answer and responses cut at the token limit."""


def methods_table(rows: Sequence[Row], society: str) -> Table:
    """One line per method after its last iteration: accuracy, distance behind multiagent finetuning, and cost."""
    last = _last(rows)
    iterations = max(row.iteration for row in last)
    table = _table(f"{society}: accuracy after {_iterations(iterations)}, % ± standard error")
    table.caption = Text("behind: multiagent FT minus the method; tokens: millions, for one seed")
    table.add_column("\nmethod", no_wrap=True)
    for heading in (
        "one\nsample",
        "\nanswer",
        "\nbehind",
        "95 %\ninterval",
        "tokens\nsampled",
        "tokens\ntrained",
        "\nsec.",
    ):
        table.add_column(heading, justify="right", no_wrap=True, style="bold" if heading.endswith("answer") else "")
    for row in last:
        table.add_row(*_cells(row))
    return table


def iterations_table(rows: Sequence[Row], society: str) -> Table:
    """One line per finetuned method: accuracy after every iteration; iteration 0 is before any finetuning."""
    iterations = sorted({row.iteration for row in rows})
    listed = iterations if len(iterations) <= MAX_ITERATIONS else [iterations[0], *iterations[1 - MAX_ITERATIONS :]]
    table = _table(f"{society}: accuracy after each iteration, %")
    if len(listed) < len(iterations):
        table.caption = Text(f"Iterations 1 to {listed[1] - 1} are left out.")
    table.add_column("method", no_wrap=True)
    for iteration in listed:
        table.add_column(str(iteration), justify="right", no_wrap=True)
    for name, cells in _by_iteration(rows, listed):
        table.add_row(name, *cells)
    return table


def transfer_table(rows: Sequence[Row], society: str) -> Table:
    """One line per method: accuracy on problems of another kind than the training problems."""
    table = _table(f"{society}: accuracy on problems of another kind, % ± standard error")
    table.add_column("method", no_wrap=True)
    for heading in TRANSFER[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in _last(rows):
        table.add_row(*_cells(row)[: len(TRANSFER)])
    return table


def responses_table(rows: Sequence[Row], society: str) -> Table:
    """One line per method: the shares of responses to held-out problems without an answer and cut short."""
    table = _table(f"{society}: failed responses, %")
    for heading in RESPONSES:
        table.add_column(heading, justify="left" if heading == "method" else "right", no_wrap=True)
    for row in _last(rows):
        table.add_row(*_response_cells(row))
    return table


def benchmark_markdown(rows: Sequence[Row], transfer: Sequence[Row], society: str, seeds: Sequence[int]) -> str:
    """All tables for a web page, with the accuracies after all iterations."""
    last = _last(rows)
    iterations = sorted({row.iteration for row in rows})
    told = f"{_iterations(iterations[-1])}, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
    columns = ["method", "one sample", "answer", "behind multiagent FT", "95 % interval"]
    main = markdown_table(
        [*columns, "10⁶ tokens sampled", "10⁶ tokens trained", "seconds"], [_cells(row) for row in last], names=1
    )
    curves = _by_iteration(rows, iterations)
    more = markdown_table(["method", *map(str, iterations)], [[name, *cells] for name, cells in curves], names=1)
    about = "\n".join(f"- **{METHODS[row.method].title}**: {escaped(METHODS[row.method].about)}" for row in last)
    title = f"**{escaped(society)}**: accuracy on held-out problems after {told}, % ± standard error"
    other = markdown_table([*TRANSFER], [_cells(row)[: len(TRANSFER)] for row in _last(transfer)], names=1)
    elsewhere = f"Accuracy on problems of another kind\n\n{other}\n\n" if transfer else ""
    faults = markdown_table([*RESPONSES], [_response_cells(row) for row in last], names=1)
    # Benchmarks of earlier versions did not count these responses.
    counted = any(row.unanswered_share is not None for row in last)
    failed = f"Responses to held-out problems without an answer or cut short, %\n\n{faults}\n\n" if counted else ""
    return f"{title}\n\n{main}\n\nAccuracy after each iteration\n\n{more}\n\n{failed}{elsewhere}{about}"


def _table(title: str) -> Table:
    return Table(title=Text(title), box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)


def _last(rows: Sequence[Row]) -> list[Row]:
    order = METHODS.names()
    return list({row.method: row for row in sorted(rows, key=lambda r: (order.index(r.method), r.iteration))}.values())


def _by_iteration(rows: Sequence[Row], iterations: Sequence[int]) -> list[tuple[str, list[str]]]:
    found = {(row.method, row.iteration): percent(row.accuracy.value, row.accuracy.standard_error) for row in rows}
    several = [name for name in METHODS.names() if any(method == name and iteration for method, iteration in found)]
    return [(METHODS[name].title, [found.get((name, i), "") for i in iterations]) for name in several]


def _cells(row: Row) -> list[str]:
    behind = row.behind
    return [
        METHODS[row.method].title,
        f"{100 * row.alone.value:.1f}",
        percent(row.accuracy.value, row.accuracy.standard_error),
        f"{100 * behind.value:+.1f}" if behind else "",
        f"{100 * behind.low:+.1f}, {100 * behind.high:+.1f}" if behind else "",
        _millions(row.cost.sampled_tokens),
        _millions(row.cost.trained_tokens),
        f"{row.cost.seconds:,.0f}",
    ]


def _response_cells(row: Row) -> list[str]:
    return [METHODS[row.method].title, share(row.unanswered_share), share(row.cut_share)]


def _millions(tokens: int) -> str:
    return f"{tokens / 1e6:.2f}" if tokens else "-"


def _iterations(number: int) -> str:
    return "1 iteration" if number == 1 else f"{number} iterations"
