"""Repeated questions in a file. Run: pytest tests/evaluation/test_repeated.py"""

import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from evaluation.problems.problem import ProblemFileError
from evaluation.problems.settings import Problems
from evaluation.problems.sources import load_held_out, load_problems

LINES = ["question,answer", "One?,1", "two,2", "one,1.0", "Three?,3", "TWO,5", "Four?,1/2", "Four,0.5", "Two,2"]


def write(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_repeated_questions_are_refused_unless_the_config_says_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", LINES)
    with pytest.raises(
        ProblemFileError,
        match=rf"{path}:4: the same question as {path}:2: 'one'; remove one .* or set problems.duplicates to drop",
    ):
        load_problems(Problems(train=path), seed=1)


def test_repeated_questions_are_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.csv", LINES)
    with caplog.at_level(logging.WARNING, "maft.problems"):
        problems = load_held_out(Problems(evaluation=path, duplicates="drop"), seed=1)
    assert {problem.question: problem.answer for problem in problems} == {"One?": "1", "Three?": "3", "Four?": "1/2"}
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 1 questions have different answers and are left out; the first are at {path}:3",
        f"{path}: 4 repeated problems are left out",
    ]


def test_a_file_without_repeated_questions_is_the_same_with_drop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.csv", [LINES[0], *LINES[1:3], *LINES[4:5], LINES[6]])
    assert load_problems(Problems(train=path, duplicates="drop"), 1) == load_problems(Problems(train=path), 1)
    assert not caplog.records


def test_no_question_may_be_left(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["question,answer", "One?,1", "one,2"])
    with pytest.raises(ProblemFileError, match="every question is there twice with different answers; correct the"):
        load_held_out(Problems(evaluation=path, duplicates="drop"), 1)


def test_other_words_are_refused() -> None:
    with pytest.raises(ValidationError, match="'refuse' or 'drop'"):
        Problems.model_validate({"duplicates": "keep_first"})
