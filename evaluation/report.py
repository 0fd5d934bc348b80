"""How a society fared over its generations, as a table for the terminal and as a picture."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from evaluation.scores import GenerationScores, RoundScore

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_LISTED_ROUNDS = 3
MAX_DRAWN_AGENTS = 5
MAX_TICKS = 12

# Okabe and Ito's colours, told apart by all kinds of colour vision and on paper.
SOCIETY, MAJORITY, GENERATORS, CRITICS = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_AGENT_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
_MARKERS = "osD^v"


def _rounds(generations: Sequence[GenerationScores]) -> int:
    """M, the same for all generations.

    Raises:
        ValueError: no generations, or of debates of different length.
    """
    lengths = {len(scores.rounds) for scores in generations}
    if len(lengths) != 1:
        raise ValueError(f"the generations of one society have the same number of rounds, not {sorted(lengths)}")
    return lengths.pop()


def _percent(accuracy: float, error: float) -> str:
    return f"{100 * accuracy:.1f}±{100 * error:.1f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _alone(score: RoundScore) -> str:
    return _percent(score.mean_accuracy, score.mean_standard_error)


def _listed_critic_rounds(rounds: int) -> list[int]:
    """The rounds of critics that get a column: all, or of long debates the first and the last."""
    return list(range(2, rounds + 1)) if rounds <= MAX_LISTED_ROUNDS else [2, rounds]


def generations_table(generations: Sequence[GenerationScores], society: str) -> Table:
    """A row per generation, in percent with standard errors; 80 columns suffice for any number of rounds.

    Args:
        generations: at least one, all of debates of the same M rounds.
        society: its name, for the title.

    Raises:
        ValueError: no generations, or of debates of different length.
    """
    rounds = _rounds(generations)
    listed = _listed_critic_rounds(rounds)
    table = Table(
        title=Text(f"{society}: accuracy on held-out problems, % ± standard error"),
        caption=None if len(listed) >= rounds - 1 else Text(f"Rounds 3 to {rounds - 1} are left out."),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("gen.", justify="right")
    table.add_column("generators\nalone", justify="right", no_wrap=True)
    table.add_column("majority of\ngenerators", justify="right", no_wrap=True)
    for number in listed:
        alone = "alone" if rounds == 2 else f"round {number}"
        table.add_column(f"critics\n{alone}", justify="right", no_wrap=True)
    table.add_column("society", justify="right", no_wrap=True, style="bold")
    table.add_column("con-\nsensus", justify="right", no_wrap=True)
    table.add_column("labels\nright", justify="right", no_wrap=True)
    for scores in generations:
        first = scores.rounds[0]
        table.add_row(
            str(scores.generation),
            _alone(first),
            _percent(first.majority_accuracy, first.majority_standard_error),
            *(_alone(scores.rounds[number - 1]) for number in listed),
            _percent(scores.accuracy, scores.standard_error),
            _share(scores.consensus),
            _share(scores.pseudo_label_accuracy),
        )
    return table


def generations_picture(generations: Sequence[GenerationScores], society: str, path: Path) -> None:
    """Write a PNG of accuracy over generations: the society and its parts, and beside it each agent, if at most five.

    Args:
        generations: at least one, all of debates of the same M rounds.
        society: its name, for the title.
        path: of the PNG, in a folder that exists. The file is there whole or not at all.

    Raises:
        ValueError: no generations, or of debates of different length.
        OSError: the folder is missing or cannot be written.
    """
    # Not at the top: the table, which every command prints, should not wait for matplotlib.
    from matplotlib.figure import Figure

    rounds = _rounds(generations)
    agents = max(len(score.agents) for scores in generations for score in scores.rounds)
    panels = 2 if agents <= MAX_DRAWN_AGENTS else 1
    figure = Figure(figsize=(5.6 * panels, 4.8), dpi=150, layout="constrained")
    figure.suptitle(f"Society {society} over its generations", parse_math=False)
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    _draw_society(axes[0], generations, rounds)
    if panels == 2:
        _draw_agents(axes[1], generations, rounds)
    for panel in axes:
        _dress(panel, generations)
    axes[0].set_ylabel("accuracy on held-out problems (%)")
    _write(figure, path)


def _draw_society(axes: "Axes", generations: Sequence[GenerationScores], rounds: int) -> None:
    """Generators alone, their majority, critics alone in the last round, society; bars of one standard error."""
    first = [scores.rounds[0] for scores in generations]
    last = [scores.rounds[-1] for scores in generations]
    majority = "majority of generators" if rounds > 1 else "society: majority of generators"
    lines = [
        ("generators alone", GENERATORS, "D:", [(r.mean_accuracy, r.mean_standard_error) for r in first]),
        (majority, MAJORITY, "s--", [(r.majority_accuracy, r.majority_standard_error) for r in first]),
    ]
    if rounds > 1:
        name = "critics alone" if rounds == 2 else f"critics alone, round {rounds}"
        lines.append((name, CRITICS, "^-.", [(r.mean_accuracy, r.mean_standard_error) for r in last]))
        lines.append(("society", SOCIETY, "o-", [(s.accuracy, s.standard_error) for s in generations]))
    for place, (label, colour, style, points) in enumerate(lines):
        # A little apart, or bars of nearly equal scores would hide one another.
        shift = 0.03 * (place - (len(lines) - 1) / 2)
        axes.errorbar(
            [scores.generation + shift for scores in generations],
            [100 * mean for mean, _ in points],
            yerr=[100 * error for _, error in points],
            fmt=style,
            color=colour,
            label=label,
            capsize=3,
            linewidth=2.2 if label == "society" else 1.4,
        )
    axes.set_title("society and its parts (bars: one standard error)", fontsize="medium")


def _draw_agents(axes: "Axes", generations: Sequence[GenerationScores], rounds: int) -> None:
    """Each generation agent of round 1 and each critic agent of the last round."""
    for number, style in ((1, "--"), (rounds, "-")) if rounds > 1 else ((1, "--"),):
        by_agent: dict[str, list[tuple[int, float]]] = {}
        for scores in generations:
            for agent in scores.rounds[number - 1].agents:
                name = f"{agent.role} {agent.index}"
                by_agent.setdefault(name, []).append((scores.generation, 100 * agent.accuracy))
        for place, (name, points) in enumerate(by_agent.items()):
            colour = _AGENT_COLOURS[place]
            (line,) = axes.plot(*zip(*points, strict=True), style, color=colour, marker=_MARKERS[place], label=name)
            line.set_markerfacecolor("white" if number == 1 else colour)
    axes.set_title("each agent alone", fontsize="medium")


def _dress(axes: "Axes", generations: Sequence[GenerationScores]) -> None:
    first, last = min(s.generation for s in generations), max(s.generation for s in generations)
    axes.set_xlabel("generation (finetuning iterations; 0 is the untuned base)")
    axes.set_xticks(range(first, last + 1, 1 + (last - first) // MAX_TICKS))
    axes.set_xlim(first - 0.3, last + 0.3)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False, fontsize="small", handlelength=3.5
    )


def _write(figure: "Figure", path: Path) -> None:
    """To a temporary name beside `path`, synced, renamed. A bare Figure renders its PNG with Agg, display or not."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            figure.savefig(file, format="png", metadata={"Software": None})
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner can read.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
