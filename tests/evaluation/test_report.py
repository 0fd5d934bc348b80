"""The table of generations. Run: pytest tests/evaluation/test_report.py"""

import io

import pytest
from rich.console import Console

from evaluation.reporting.tables import generations_table, responses_table
from evaluation.scores import GenerationScores, ResponseShares
from tests.evaluation.generation_samples import scored


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
    # 100.0 is the widest number in a table.
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


def test_generations_of_different_debates_are_refused() -> None:
    for generations in ([], [scored(0, 2), scored(1, 3)]):
        with pytest.raises(ValueError, match="same number of rounds"):
            generations_table(generations, "arith")


def test_the_table_of_responses() -> None:
    learned = {
        "unanswered_share": 1.0,
        "cut_share": 0.6666,
        "training_responses": ResponseShares(unanswered_share=0.5, cut_share=1.0),
        "dataset_sizes": {"generator-0": 12_345, "critic-0": 6},
    }
    nothing = {"dataset_sizes": {"generator-0": 0, "critic-0": 0}}
    generations = [scored(0, 2), *(scored(k, 2).model_copy(update=new) for k, new in ((1, learned), (100, nothing)))]
    file = io.StringIO()
    Console(file=file, width=80, color_system=None).print(responses_table(generations, "arith"))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split(maxsplit=5) for line in lines if line.strip()[:1].isdigit()]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["0", "-", "-", "-", "-", "-"],
        ["1", "100.0", "66.7", "50.0", "100.0", "6 to 12345"],
        ["100", "-", "-", "-", "-", "none"],
    ]


def test_critics_that_never_spoke_are_not_among_those_who_learn() -> None:
    sizes = {"generator-0": 30, "critic-0": 0}
    alone = scored(1, 1).model_copy(update={"dataset_sizes": sizes})
    assert alone.examples == {"generator-0": 30}
    assert scored(1, 2).model_copy(update={"dataset_sizes": sizes}).examples == sizes
