"""The table and the picture of generations. Run: pytest tests/evaluation/test_report.py"""

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from rich.console import Console

from evaluation import report
from evaluation.report import generations_picture, generations_table
from evaluation.scores import AgentScore, GenerationScores, Role, RoundScore


def scored(generation: int, rounds: int, agents: int = 3, accuracy: float = 0.5) -> GenerationScores:
    def score(number: int) -> RoundScore:
        role: Role = "generator" if number == 1 else "critic"
        return RoundScore(
            round=number,
            agents=[AgentScore(role=role, index=i, accuracy=accuracy) for i in range(agents)],
            mean_accuracy=accuracy + 0.01 * number,
            mean_standard_error=0.019,
            majority_accuracy=accuracy + 0.1 + 0.01 * number,
            majority_standard_error=0.021,
        )

    scores = [score(number) for number in range(1, rounds + 1)]
    return GenerationScores(
        problems=400,
        rounds=scores,
        accuracy=scores[-1].majority_accuracy,
        standard_error=0.021,
        consensus=0.8125,
        generation=generation,
        pseudo_label_accuracy=0.755 if generation else None,
        sampled_tokens=1,
        trained_tokens=1,
    )


def printed(generations: list[GenerationScores], society: str = "arith", width: int = 80) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(generations_table(generations, society))
    return file.getvalue().splitlines()


def test_table_of_two_rounds() -> None:
    lines = printed([scored(0, 2), scored(1, 2, accuracy=0.8)])
    text = "\n".join(lines)
    assert "arith: accuracy on held-out problems, % ± standard error" in text
    rows = [line.split() for line in lines if line.strip()[:1].isdigit()]
    assert rows == [
        ["0", "51.0±1.9", "61.0±2.1", "52.0±1.9", "62.0±2.1", "81.2", "-"],
        ["1", "81.0±1.9", "91.0±2.1", "82.0±1.9", "92.0±2.1", "81.2", "75.5"],
    ]
    assert "critics" in text
    assert "round 2" not in text


@pytest.mark.parametrize(("rounds", "shown"), [(1, []), (2, []), (3, [2, 3]), (4, [2, 4]), (16, [2, 16])])
def test_table_fits_80_columns_uncut_for_any_number_of_rounds(rounds: int, shown: list[int]) -> None:
    # 100.0 is the widest number there is.
    generations = [scored(generation, rounds, accuracy=accuracy) for generation, accuracy in ((9, 0.1), (100, 0.98))]
    lines = printed(generations)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    assert ("critics" in text) == (rounds > 1)
    assert [number for number in range(1, 17) if f"round {number} " in text] == shown
    assert ("are left out" in text) == (rounds > 3)
    assert all(line.split()[0] in ("9", "100") for line in lines if "±1.9" in line)


def test_a_society_name_is_no_markup() -> None:
    assert "[bold]x[/bold]: accuracy" in "\n".join(printed([scored(0, 2)], society="[bold]x[/bold]"))


def test_generations_of_different_debates_are_refused(tmp_path: Path) -> None:
    for generations in ([], [scored(0, 2), scored(1, 3)]):
        with pytest.raises(ValueError, match="same number of rounds"):
            generations_table(generations, "arith")
        with pytest.raises(ValueError, match="same number of rounds"):
            generations_picture(generations, "arith", tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def drawn(
    monkeypatch: pytest.MonkeyPatch, path: Path, generations: list[GenerationScores], society: str = "a"
) -> Figure:
    """The figure as it was when it was written."""
    figures: list[Figure] = []
    write = report._write

    def keep(figure: Figure, path: Path) -> None:
        figures.append(figure)
        write(figure, path)

    monkeypatch.setattr(report, "_write", keep)
    generations_picture(generations, society, path)
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
    with pytest.raises(FileNotFoundError):
        generations_picture([scored(0, 2)], "arith", tmp_path / "nowhere" / "a.png")
