"""The examples of the manual's section on kinds of answers. Run: pytest tests/evaluation/test_manual.py"""

import re
from pathlib import Path
from typing import Any

import pytest

from evaluation.answers.equality import equivalent
from evaluation.answers.extract import extract_answer
from evaluation.answers.grader import GRADERS, grader_of

MANUAL = (Path(__file__).parents[2] / "docs" / "manual.md").read_text("utf-8")
SETTINGS: dict[str, Any] = {"choice": {"labels": ["billing", "delivery"]}}


def part(heading: str) -> str:
    (found,) = re.findall(rf"(?ms)^#+ {heading}\n(.*?)(?=^#|\Z)", MANUAL)
    return str(found)


def pairs(text: str, sign: str) -> list[tuple[str, str]]:
    return re.findall(rf"`([^`]+)` {sign} `([^`]+)`", text)


KINDS = part("Other tasks: kinds of answers")
EQUAL = part("Which answers are equal")
PLACES = part("Where the answer is looked for")


def test_every_kind_has_a_row() -> None:
    assert sorted(re.findall(r"^\| `(\w+)`", KINDS, re.MULTILINE)) == sorted(GRADERS.names())


@pytest.mark.parametrize("kind", ["math", "number", "choice", "text", "json"])
def test_equal_answers_of_each_kind(kind: str) -> None:
    (row,) = re.findall(rf"(?m)^\| `{kind}`.*$", KINDS)
    grader = grader_of({"kind": kind, **SETTINGS.get(kind, {})})
    found = pairs(row, "=")
    assert found
    for a, b in found:
        assert grader.equivalent(grader.extract(f"Answer: {a}"), b), (a, b)
        assert grader.fault(b) is None


@pytest.mark.parametrize("row", re.findall(r"(?m)^\| .*` = `.*$", EQUAL), ids=lambda row: row.split("|")[1].strip())
def test_the_rules_of_equality(row: str) -> None:
    equal, different = pairs(row, "="), pairs(row, "≠")
    assert equal and different
    for a, b in equal:
        assert equivalent(a, b) and equivalent(b, a), (a, b)
    for a, b in different:
        assert not equivalent(a, b) and not equivalent(b, a), (a, b)


def test_the_places_of_an_answer() -> None:
    found = pairs(PLACES, "→")
    assert len(found) == 11
    for text, answer in found:
        assert extract_answer(text) == answer, text
    nothing = re.findall(r"`([^`]+)` → none", PLACES)
    assert len(nothing) == 4
    for text in nothing:
        assert extract_answer(text) is None, text
