"""The pictures of generations. Run: pytest tests/evaluation/test_pictures.py"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from evaluation.reporting import pictures
from evaluation.reporting.pictures import agents_heatmap, generations_picture
from evaluation.scores import GenerationScores, RoundScore
from tests.evaluation.generation_samples import scored


def drawn(
    monkeypatch: pytest.MonkeyPatch,
    path: Path,
    generations: list[GenerationScores],
    society: str = "a",
    draw: Callable[[list[GenerationScores], str, Path], None] = generations_picture,
) -> Figure:
    """The figure at the time when it was written."""
    figures: list[Figure] = []
    write = pictures._write

    def keep(figure: Figure, path: Path) -> None:
        figures.append(figure)
        write(figure, path)

    monkeypatch.setattr(pictures, "_write", keep)
    draw(generations, society, path)
    return figures[0]


@pytest.mark.parametrize(("rounds", "agents", "count"), [(1, 3, 1), (2, 3, 3), (3, 5, 20), (2, 6, 3)])
def test_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rounds: int, agents: int, count: int) -> None:
    path = tmp_path / "generations.png"
    figure = drawn(monkeypatch, path, [scored(g, rounds, agents, 0.5 + 0.01 * g) for g in range(count)], "$a_$b$")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["generations.png"]
    assert len(figure.axes) == (2 if agents <= 5 else 1)
    axes = figure.axes[0]
    assert all(tick == int(tick) for tick in axes.get_xticks())
    assert "%" in axes.get_ylabel()
    assert "generation" in axes.get_xlabel()
    labels = axes.get_legend_handles_labels()[1]
    assert len(labels) == (2 if rounds == 1 else 4)
    assert any("society" in label for label in labels)
    legend = axes.get_legend()
    assert legend is not None
    assert not legend.get_window_extent().overlaps(axes.get_window_extent())
    if agents <= 5:
        assert len(figure.axes[1].lines) == agents * min(rounds, 2)


@pytest.mark.parametrize(("numbers", "ticks"), [([4, 7], [4, 7]), (range(30), range(0, 30, 3))])
def test_the_ticks_are_the_generations_there_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, numbers: list[int], ticks: list[int]
) -> None:
    figure = drawn(monkeypatch, tmp_path / "a.png", [scored(number, 2) for number in numbers])
    for axes in figure.axes:
        assert list(axes.get_xticks()) == list(ticks)
        assert axes.get_xlim()[0] < numbers[0] and numbers[-1] < axes.get_xlim()[1]
    assert ("untuned base" in figure.axes[0].get_xlabel()) == (numbers[0] == 0)


def test_the_picture_shows_the_scores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figure = drawn(monkeypatch, tmp_path / "a.png", [scored(0, 2), scored(1, 2, accuracy=0.8)])
    axes = figure.axes[0]
    heights = {
        str(bars.get_label()): [round(float(y), 1) for y in np.asarray(bars.lines[0].get_ydata())]
        for bars in axes.containers
        if isinstance(bars, ErrorbarContainer)
    }
    assert heights == {
        "generators alone": [51.0, 81.0],
        "majority of generators": [61.0, 91.0],
        "critics alone": [52.0, 82.0],
        "society": [62.0, 92.0],
    }


def test_a_picture_that_fails_leaves_the_old_one_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_text("old")

    def fail(figure: Figure, *args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        generations_picture([scored(0, 2)], "arith", path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.png", "old")]
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError):
        generations_picture([scored(0, 2)], "arith", tmp_path / "nowhere" / "a.png")


@pytest.mark.parametrize(
    ("rounds", "agents", "numbers", "shown"),
    [
        (1, 3, [0, 1], []),
        (2, 3, [4, 7], []),
        (3, 10, range(3), [2, 3]),
        (16, 10, [3], range(2, 17)),
        (16, 3, range(5), [2, 16]),
        (16, 3, range(30), []),
    ],
)
def test_heat_map(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rounds: int, agents: int, numbers: list[int], shown: list[int]
) -> None:
    generations = [scored(number, rounds, agents, 0.4 + 0.015 * number) for number in numbers]
    figure = drawn(monkeypatch, tmp_path / "heat.png", generations, "$a_$b$", agents_heatmap)
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")
    axes = figure.axes[0]
    names = [f"{role}-{index}" for role in ("generator", "critic")[:rounds] for index in range(agents)]
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    (above,) = axes.child_axes
    assert [label.get_text() for label in above.get_xticklabels()] == [str(number) for number in numbers]
    assert [label.get_text() for label in axes.get_xticklabels()] == [str(m) for m in shown] * len(numbers)
    columns = 0 if rounds == 1 else len(shown) or 1
    assert len(axes.texts) == len(numbers) * agents * (1 + columns)
    # Every number is inside its cell, and no labels of an axis touch each other.
    cells = [patch.get_window_extent() for patch in axes.patches]
    for text, cell in zip(axes.texts, cells, strict=True):
        box = text.get_window_extent()
        assert cell.x0 < box.x0 and box.x1 < cell.x1 and cell.y0 < box.y0 and box.y1 < cell.y1
    for labels in (axes.get_xticklabels(), above.get_xticklabels()):
        boxes = [label.get_window_extent() for label in labels if label.get_text()]
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_the_heat_map_tells_who_answered_what_and_when(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def accuracy(scores: GenerationScores, one: RoundScore) -> RoundScore:
        agents = [
            agent.model_copy(update={"accuracy": (40 * scores.generation + 10 * one.round + agent.index) / 100})
            for agent in one.agents
        ]
        return one.model_copy(update={"agents": agents})

    plain = [scored(number, 3, 3) for number in (0, 1)]
    generations = [s.model_copy(update={"rounds": [accuracy(s, one) for one in s.rounds]}) for s in plain]
    axes = drawn(monkeypatch, tmp_path / "heat.png", generations, "a", agents_heatmap).axes[0]
    rows: dict[float, list[tuple[float, str]]] = {}
    for text in axes.texts:
        rows.setdefault(text.get_position()[1], []).append((text.get_position()[0], text.get_text()))
    assert [[value for _, value in sorted(rows[y])] for y in sorted(rows)] == [
        ["10", "50"],
        ["11", "51"],
        ["12", "52"],
        ["20", "30", "60", "70"],
        ["21", "31", "61", "71"],
        ["22", "32", "62", "72"],
    ]
    shades = [patch.get_facecolor()[0] for patch in axes.patches[:2]]
    assert shades[0] > shades[1], "a larger value is darker"


def test_generations_of_different_debates_are_refused(tmp_path: Path) -> None:
    for draw in (generations_picture, agents_heatmap):
        for generations in ([], [scored(0, 2), scored(1, 3)]):
            with pytest.raises(ValueError, match="same number of rounds"):
                draw(generations, "arith", tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
