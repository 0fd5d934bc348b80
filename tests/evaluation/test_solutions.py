"""The answer in a worked solution. Run: pytest tests/evaluation/test_solutions.py"""

import json
import time
from pathlib import Path

import pytest

from evaluation.problems.files import read_problems
from evaluation.problems.solutions import reference

HEADED = "#### Step 1: add\n8 + 8 = 16\n#### Step 2: check\nSo it is $\\boxed{16}$."


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("8 + 8 = 16\n#### 16", "16"),
        ("#### 1,000", "1000"),
        ("#### -1,234,567.50", "-1234567.50"),
        ("#### $1,000", "$1000"),
        ("#### 1,000 apples", "1000 apples"),
        ("#### (1, 2)", "(1, 2)"),
        ("#### (100,200)", "(100,200)"),
        ("#### [0,1)", "[0,1)"),
        ("#### 3, 4", "3, 4"),
        ("#### 3,4", "3,4"),
        ("#### Tom, Dick", "Tom, Dick"),
        ("#### 1,00", "1,00"),
        (HEADED, "16"),
        ("So it is $\\boxed{16}$.\n#### Check\n8 + 8 is 16.", "16"),
        ("#### Step 1\nSo it is \\boxed 3", "3"),
        ("#### The answer is $\\boxed{\\frac{1}{2}}$", "\\frac{1}{2}"),
        ("Not \\boxed{5}.\n#### 16", "16"),
        ("#### 16\n", "16"),
    ],
)
def test_the_answer_of_a_solution(solution: str, answer: str) -> None:
    assert reference(solution) == answer


@pytest.mark.parametrize("piece", ["1,000,", "#### ", "\\boxed{", "#### 1,", "(", " "])
def test_a_long_solution_is_read_quickly(piece: str) -> None:
    start = time.process_time()
    reference(piece * 200_000)
    assert time.process_time() - start < 2.0


def test_every_answer_of_gsm8k_is_as_published(shared_data: Path) -> None:
    for name, count in (("gsm8k_train_1000.jsonl", 1000), ("gsm8k_test.jsonl", 1319)):
        rows = [json.loads(line) for line in (shared_data / name).read_text("utf-8").splitlines()]
        answers = [problem.answer for problem, _ in read_problems(str(shared_data / name))]
        assert len(answers) == count
        assert answers == [row["answer"].rpartition("#### ")[2].replace(",", "") for row in rows]
