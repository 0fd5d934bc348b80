"""Pictures of a society's generations: accuracy curves with error bars, and a heatmap of every agent and round."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.files import write_whole
from evaluation.reporting.tables import debate_rounds
from evaluation.scores import GenerationScores

# matplotlib loads slowly, so it is imported where it is used: only a finished job waits for it.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_DRAWN_AGENTS = 5
MAX_TICKS = 12
MAX_HEAT_COLUMNS = 32

# Okabe and Ito's colours, which can be told apart with all kinds of colour vision and on paper.
SOCIETY, MAJORITY, GENERATORS, CRITICS = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_AGENT_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
_MARKERS = "osD^v"
_HEAT = "Blues"
"""One hue from light to dark, which can be read without colour vision."""
_GAP = 0.2
"""Space between generations, and between generators and critics, in cells."""


def generations_picture(generations: Sequence[GenerationScores], society: str, path: Path) -> None:
    """Write a PNG of accuracy over generations: the society and its parts, and each agent if there are at most five.

    Args:
        generations: at least one, all with debates of the same number of rounds.
        society: its name, for the title.
        path: path of the PNG, in an existing folder. The file is written whole or not at all.

    Raises:
        ValueError: there are no generations, or their debates differ in length.
        OSError: the folder is missing or cannot be written.
    """
    from matplotlib.figure import Figure

    rounds = debate_rounds(generations)
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


def agents_heatmap(generations: Sequence[GenerationScores], society: str, path: Path) -> None:
    """Write a PNG of every agent's accuracy in every generation and round, in percent, one cell each.

    A row is an agent, generators above critics. A block of columns is a generation: a generator has one cell, for round
    1, and a critic has one cell for each of rounds 2..M. If that makes more than MAX_HEAT_COLUMNS columns, only the
    first and the last round of the critics are shown, or only the last; the axis says which.

    Args:
        generations: at least one, all with debates of the same number of rounds.
        society: its name, for the title.
        path: path of the PNG, in an existing folder. The file is written whole or not at all.

    Raises:
        ValueError: there are no generations, or their debates differ in length.
        OSError: the folder is missing or cannot be written.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    rounds = debate_rounds(generations)
    shown = _shown_rounds(rounds, len(generations))
    width = max(1, len(shown))
    accuracies = [100 * agent.accuracy for scores in generations for one in scores.rounds for agent in one.agents]
    # At least ten points from light to dark, so that a difference of one point looks small.
    light, dark = min(*accuracies, max(accuracies) - 10), max(accuracies)
    rows = {name: row + (_GAP if name.startswith("critic") else 0) for row, name in enumerate(_agents(generations))}
    columns, height = len(generations) * (width + _GAP) - _GAP, max(rows.values()) + 1

    figure = Figure(figsize=(max(5.6, 0.42 * columns + 2.6), 0.34 * height + 2), dpi=150, layout="constrained")
    figure.suptitle(f"Society {society}: accuracy of each agent alone", parse_math=False)
    axes = figure.subplots()
    for place, scores in enumerate(generations):
        left = place * (width + _GAP)
        # A generator's one cell is as wide as all cells of a critic.
        cells = [(agent, left, width) for agent in scores.rounds[0].agents]
        cells += [(agent, left + i, 1) for i, m in enumerate(shown) for agent in scores.rounds[m - 1].agents]
        for agent, x, wide in cells:
            y, value = rows[f"{agent.role}-{agent.index}"], 100 * agent.accuracy
            shade = (value - light) / (dark - light)
            axes.add_patch(Rectangle((x, y), wide, 1, facecolor=colormaps[_HEAT](shade), edgecolor="white"))
            ink = "white" if shade > 0.55 else "black"
            axes.text(x + wide / 2, y + 0.5, f"{value:.0f}", ha="center", va="center", fontsize="small", color=ink)
    axes.set(xlim=(0, columns), ylim=(height, 0), yticks=[y + 0.5 for y in rows.values()], yticklabels=list(rows))
    _label_generations(axes, generations, shown, rounds)
    scale = ScalarMappable(Normalize(light, dark), _HEAT)
    figure.colorbar(scale, ax=axes, label="accuracy on held-out problems (%)", pad=0.02)
    _write(figure, path)


def _shown_rounds(rounds: int, generations: int) -> list[int]:
    """The rounds of critics that get a column in each generation."""
    choices = [list(range(2, rounds + 1)), [2, rounds], [rounds]] if rounds > 1 else [[]]
    return next((shown for shown in choices if len(shown) * generations <= MAX_HEAT_COLUMNS), choices[-1])


def _agents(generations: Sequence[GenerationScores]) -> list[str]:
    """The agents' names, generators first: generator-0, ..., critic-0, ..."""
    found = {(a.role != "generator", a.index, a.role) for s in generations for one in s.rounds for a in one.agents}
    return [f"{role}-{index}" for _, index, role in sorted(found)]


def _label_generations(axes: "Axes", generations: Sequence[GenerationScores], shown: list[int], rounds: int) -> None:
    """Label the generations above the cells, and the critics' rounds below them."""
    width = max(1, len(shown))
    lefts = [place * (width + _GAP) for place in range(len(generations))]
    above = axes.secondary_xaxis("top")
    above.set_xticks([left + width / 2 for left in lefts], [str(scores.generation) for scores in generations])
    above.set_xlabel("generation")
    if len(shown) > 1:
        axes.set_xticks([left + i + 0.5 for left in lefts for i in range(width)], list(map(str, shown)) * len(lefts))
        left_out = "" if len(shown) == rounds - 1 else f" (of {rounds}; the others are left out)"
        axes.set_xlabel(f"critics: round of the debate{left_out}; generators answer in round 1")
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"generators in round 1, critics in round {rounds}" if shown else "generators in round 1")
    for side in (axes, above):
        side.tick_params(length=0)
        side.spines[:].set_visible(False)


def _draw_society(axes: "Axes", generations: Sequence[GenerationScores], rounds: int) -> None:
    """Draw generators alone, their majority, critics alone in the last round, and the society, with error bars."""
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
    first_generation, last_generation = _ends(generations)
    for place, (label, colour, style, points) in enumerate(lines):
        # Shifted a little, so that bars of nearly equal scores do not hide one another.
        shift = max(0.03, 0.006 * (last_generation - first_generation)) * (place - (len(lines) - 1) / 2)
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
    """Draw each generation agent in round 1 and each critic agent in the last round."""
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
    first, last = _ends(generations)
    axes.set_xlabel("generation (0 is the untuned base)" if first == 0 else "generation")
    numbers = sorted({scores.generation for scores in generations})
    axes.set_xticks(numbers[:: 1 + (len(numbers) - 1) // MAX_TICKS])
    axes.set_xlim(first - 0.1 * (last - first) - 0.2, last + 0.1 * (last - first) + 0.2)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False, fontsize="small", handlelength=3.5
    )


def _ends(generations: Sequence[GenerationScores]) -> tuple[int, int]:
    numbers = [scores.generation for scores in generations]
    return min(numbers), max(numbers)


def _write(figure: "Figure", path: Path) -> None:
    """Write the figure as a PNG. A bare Figure is rendered with Agg, whether there is a display or not."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    write_whole(path, picture.getvalue())
