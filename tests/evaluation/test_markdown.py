"""Generations as a GitHub table. Run: pytest tests/evaluation/test_markdown.py"""

import pytest
from rich.console import Console
from rich.markdown import Markdown

from evaluation.reporting.markdown import escaped, generations_markdown, generations_page, markdown_table
from tests.evaluation.generation_samples import scored


def test_a_row_per_generation() -> None:
    second = scored(7, 2, accuracy=0.8).model_copy(update={"unchanged": ["generator-1", "critic-0"]})
    title, empty, head, ruler, *rows = generations_markdown([scored(4, 2), second], "arith").splitlines()
    assert (title, empty) == ("**arith**: accuracy on 400 held-out problems, % ± standard error", "")
    assert head.split(" | ")[0] == "| gen." and "critics alone |" in head
    assert ruler.count("--:") == head.count("|") - 1
    assert rows == [
        "| 4 | 51.0±1.9 | 61.0±2.1 | 52.0±1.9 | **62.0±2.1** | 81.2 | 75.5 | - |",
        "| 7 | 81.0±1.9 | 91.0±2.1 | 82.0±1.9 | **92.0±2.1** | 81.2 | 75.5 | generator-1, critic-0 |",
    ]


@pytest.mark.parametrize(("rounds", "head"), [(1, []), (2, ["critics alone"]), (5, ["critics alone, round 5"])])
def test_the_last_round_of_critics_has_a_column(rounds: int, head: list[str]) -> None:
    lines = generations_markdown([scored(0, rounds)], "arith").splitlines()
    assert [cell.strip() for cell in lines[2].split("|") if "critics" in cell] == head
    assert len({line.count("|") for line in lines[2:]}) == 1


HOSTILE = "a|b <img src=x onerror=alert(1)> [c](javascript:d) **e** `f`\n# g http://h.example ~~i~~ &amp; \\| $j$"


def test_a_name_is_no_markup() -> None:
    text = generations_markdown([scored(0, 2)], HOSTILE)
    title = text.splitlines()[0]
    assert len(text.splitlines()) == 5
    assert not set("|<>[]`~$\\") & set(title)
    console = Console(record=True, width=400)
    console.print(Markdown(title))
    assert " ".join(HOSTILE.split()) in console.export_text(), "the rendered markdown shows the name unchanged"
    assert escaped("grade-school 2.0") == "grade-school 2.0"


def test_generations_of_different_debates_are_refused() -> None:
    with pytest.raises(ValueError, match="same number of rounds"):
        generations_markdown([scored(0, 2), scored(1, 3)], "arith")


def test_a_page_begins_with_the_warnings_and_ends_with_the_responses() -> None:
    scores = scored(1, 2).model_copy(update={"unanswered_share": 0.681, "cut_share": 0.5})
    plain = generations_page([scores], "arith", [])
    assert plain.startswith(generations_markdown([scores], "arith"))
    assert plain.splitlines()[-1] == "| 1 | 68.1 | 50.0 | - | - | - |"
    warned = generations_page([scores], "arith", ["set a_b=*1*", "read"])
    assert warned.splitlines()[:3] == ["- **Warning:** set a&#95;b=&#42;1&#42;", "- **Warning:** read", ""]
    assert warned.endswith(plain)


def test_a_table_by_hand() -> None:
    assert markdown_table(["a", "b"], [["x", "1"]], names=1) == "| a | b |\n| --- | --: |\n| x | 1 |"
    spaced = markdown_table(["a", "b"], [["x", "y"]], names=2, spaced=True)
    assert spaced == "| a &ensp;| b |\n| --- | --- |\n| x &ensp;| y |"
    assert markdown_table(["a"], []) == "| a |\n| --: |"
