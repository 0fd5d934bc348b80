"""The plots of a benchmark's page as inline SVG, with the page's font and its colours for light and dark.

Lines are told apart by colour, dash and a label at their end. Bands and bars are one standard error.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from evaluation.benchmark.findings import SINGLE
from evaluation.benchmark.methods import METHODS, REFERENCE, MethodName
from evaluation.benchmark.paper import FIGURE_5
from evaluation.benchmark.results import Row
from evaluation.statistics.paired import Estimate

# matplotlib loads slowly, so it is imported where it is used: only a finished benchmark waits for it.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Placeholders for the page's colours, which differ between light and dark: each becomes var(--NAME) in the SVG.
INK, FAINT, SOCIETY, AGENT, UNTUNED = "#010101", "#020202", "#030303", "#040404", "#050505"
VARIABLES = {INK: "ink", FAINT: "rule", SOCIETY: "society", AGENT: "agent", UNTUNED: "untuned"}
LINES: Mapping[MethodName, tuple[str, str]] = {
    REFERENCE: (SOCIETY, "o-"),
    SINGLE: (AGENT, "s--"),
    "single-ft-debate": (INK, "^-."),
    "debate-matched": (UNTUNED, "D:"),
}
"""Colour, and marker with dash, of the methods that are plotted over the iterations."""
MEASURES = {
    "nll": "NLL of the others' responses, nats per token",
    "kl": "KL divergence between agents, nats per token",
    "dissimilarity": "embedding dissimilarity, 1 − cosine",
    "consensus": "consensus, % of agents with the majority",
}
WIDTH, HEIGHT, FONT = 4.6, 2.9, 10.0
"""Width and height in inches, font size in points; a plot fits a phone without being shrunk."""

_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": FONT,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
}


def accuracy_plot(rows: Sequence[Row]) -> str | None:
    """Accuracy after every iteration, with bands: multiagent and single-agent finetuning, and matched untuned debates.

    None if the benchmark has none of them.
    """
    series = {METHODS[name].title: (LINES[name], _followed(rows, name, lambda row: row.accuracy)) for name in LINES}
    if not any(points for _, points in series.values()):
        return None
    return _over_iterations("accuracy on held-out problems, %", series, 100)


def paper_plot() -> str:
    """Figure 5 of the paper."""
    series = {
        f"{model.split()[0]}, {'multi' if method == REFERENCE else 'single'}": (
            LINES[method],
            {i: Estimate(value=value / 100, standard_error=0.0) for i, value in enumerate(values, start=1)},
        )
        for model, curves in FIGURE_5.items()
        for method, values in curves.items()
    }
    return _over_iterations("accuracy on MATH, %", series, 100)


def diversity_plots(rows: Sequence[Row]) -> list[str]:
    """A plot for each of MEASURES that was measured: multiagent and single-agent finetuning, with bands."""
    plots = []
    for measure, label in MEASURES.items():
        series = {
            METHODS[name].title: (LINES[name], _followed(rows, name, lambda row, m=measure: getattr(row, m)))  # type: ignore[misc]
            for name in (REFERENCE, SINGLE)
        }
        if any(points for _, points in series.values()):
            plots.append(_over_iterations(label, series, 100 if measure == "consensus" else 1))
    return plots


def cost_plot(rows: Sequence[Row]) -> str:
    """Accuracy against sampled tokens: every method after its last iteration, multiagent finetuning after each."""
    from matplotlib.ticker import LogLocator, NullFormatter

    last = {row.method: row for row in sorted(rows, key=lambda row: row.iteration)}
    way = sorted((row for row in rows if row.method == REFERENCE), key=lambda row: row.iteration)

    def draw(axes: "Axes") -> None:
        axes.plot(*_costs(way), "-", color=SOCIETY, linewidth=1)
        labels = {}
        for name in sorted(last, key=METHODS.names().index):
            row = last[name]
            (x,), (y,) = _costs([row])
            colour = LINES[name][0] if name in LINES else INK
            error = 100 * row.accuracy.standard_error
            axes.errorbar(x, y, yerr=error, fmt="o" if METHODS[name].finetuned else "D", color=colour, markersize=4)
            labels[METHODS[name].title] = x, y, colour
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("sampled tokens, millions, for one seed")
        _label(axes, labels)

    return _plot("accuracy, % of held-out problems", draw, HEIGHT + 1.2)


def pictures(rows: Sequence[Row]) -> dict[str, str]:
    """The plots of accuracy by iteration (if there is one) and against cost as SVG files, in the page's colours."""
    drawn = {"accuracy.svg": accuracy_plot(rows), "cost.svg": cost_plot(rows)}
    return {name: _alone(svg) for name, svg in drawn.items() if svg}


def _alone(svg: str) -> str:
    """A plot as a separate SVG file, with the page's colours, background and font."""
    schemes = (Path(__file__).parent / "colours.css").read_text("utf-8")
    style = (
        f"<style>{schemes}svg {{ background: var(--paper); }}\ntext {{ font-family: system-ui, sans-serif; }}</style>"
    )
    head, end, body = svg.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg"{end}\n{style}{body}\n'


def _costs(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    """The rows' sampled tokens in millions, and their accuracies in percent."""
    return [max(1, row.cost.sampled_tokens) / 1e6 for row in rows], [100 * row.accuracy.value for row in rows]


def _followed(
    rows: Sequence[Row], method: MethodName, measure: Callable[[Row], Estimate | None]
) -> dict[int, Estimate]:
    found = {row.iteration: measure(row) for row in rows if row.method == method}
    return {iteration: each for iteration, each in sorted(found.items()) if each}


def _over_iterations(label: str, series: Mapping[str, tuple[tuple[str, str], dict[int, Estimate]]], scale: int) -> str:
    def draw(axes: "Axes") -> None:
        labels = {}
        for title, ((colour, style), points) in series.items():
            if not points:
                continue
            x = list(points)
            y = [scale * each.value for each in points.values()]
            error = [scale * each.standard_error for each in points.values()]
            below, above = ([v + sign * e for v, e in zip(y, error, strict=True)] for sign in (-1, 1))
            axes.fill_between(x, below, above, color=colour, alpha=0.18, linewidth=0)
            axes.plot(x, y, style, color=colour, markersize=4, linewidth=1.6)
            labels[title] = x[-1], y[-1], colour
        numbers = sorted({i for _, points in series.values() for i in points})
        axes.set_xticks(numbers[:: 1 + (len(numbers) - 1) // 10])
        axes.set_xlabel("iteration" if numbers[0] else "iteration (0: untuned)")
        _label(axes, labels)

    return _plot(label, draw, HEIGHT)


def _label(axes: "Axes", labels: Mapping[str, tuple[float, float, str]]) -> None:
    """Write names right of the plot, near the height of their points but not overlapping, with a line to each."""
    axes.margins(x=0.06, y=0.1)
    low, high = axes.get_ylim()
    points = axes.bbox.height / axes.figure.dpi * 72
    gap = (high - low) * 1.15 * FONT / points
    places: list[float] = []
    by_height = sorted(labels.items(), key=lambda item: item[1][1])
    for _, (_, y, _) in by_height:
        places.append(max(y, places[-1] + gap) if places else y)
    # Names above the top move down again, and push down the names below them.
    ceiling = high
    for place in reversed(range(len(places))):
        places[place] = ceiling = min(places[place], ceiling)
        ceiling -= gap
    for (title, (x, y, colour)), height in zip(by_height, places, strict=True):
        axes.annotate(
            title,
            (x, y),
            (1.07, (height - low) / (high - low)),
            textcoords="axes fraction",
            va="center",
            color=colour,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.6, "relpos": (0.0, 0.5)},
        )
    axes.set_ylim(low, high)


def _plot(title: str, draw: Callable[["Axes"], None], height: float) -> str:
    """One SVG, which loads nothing from elsewhere and shares no id with another plot of the page."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: Any = {**_STYLE, "svg.hashsalt": title}  # the salt keeps the ids of two plots apart
    with mpl.rc_context(settings):
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.135, right=0.66, top=1 - 0.32 / height, bottom=0.5 / height)
        axes.set_title(title, loc="left", fontsize=FONT, x=-0.2)
        axes.grid(axis="y", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        draw(axes)
        axes.tick_params(which="both", length=0)
        return _inline(figure, title)


def _inline(figure: "Figure", title: str) -> str:
    """The figure as an element of a page: with the page's font and colours, and without ids that two plots share.

    Whatever its settings are, matplotlib writes colours as hexadecimal numbers, a font in every text and an id in every
    group. So this function changes them in its output.
    """
    file = io.BytesIO()
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Type", "Format", "Creator")))
    svg = ElementTree.fromstring(file.getvalue())  # noqa: S314, our own output
    for element in svg.iter():
        # An HTML page needs no namespaces: HTML knows svg, and href without a prefix.
        element.tag = _local(element.tag)
        element.attrib = {_local(name): value for name, value in element.attrib.items()}
        if element.tag == "g":
            element.attrib.pop("id", None)
        if "style" in element.attrib:
            element.attrib["style"] = _themed(element.attrib["style"])
    svg.attrib.pop("version")
    svg.attrib |= {"role": "img", "aria-label": title}
    return ElementTree.tostring(svg, encoding="unicode")


def _local(name: str) -> str:
    """An XML name without its {namespace}."""
    return name.rpartition("}")[2]


def _themed(style: str) -> str:
    """CSS declarations without fonts, and with the page's variables for the placeholder colours."""
    declared = [each.strip() for each in style.split(";") if not each.strip().startswith("font-family:")]
    text = "; ".join(each for each in declared if each)
    for colour, name in VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    return text
