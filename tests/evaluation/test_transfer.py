"""Transfer: problems of another kind than the training problems.

Run: pytest tests/evaluation/test_transfer.py
"""

import json
import logging
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from evaluation.problems.files import ProblemFileError
from evaluation.problems.settings import Problems, Transfer
from evaluation.problems.sources import OverlapError, TooFewProblemsError, load_problems, load_transfer
from infra.config.benchmark import Benchmark


def values(question: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", question)]


def jsonl(path: Path, questions: list[str]) -> str:
    path.write_text("".join(json.dumps({"question": q, "answer": "1"}) + "\n" for q in questions), "utf-8")
    return str(path)


def test_arithmetic_after_arithmetic_has_a_larger_value_in_every_question() -> None:
    found = load_transfer(Transfer(max_value=35, size=200), Problems(max_value=30), seed=3)
    assert len({problem.question for problem in found}) == 200
    assert all(30 < max(values(problem.question)) <= 35 for problem in found)
    # One large value is enough; the other five values may be as small as in training.
    assert any(sum(value > 30 for value in values(problem.question)) == 1 for problem in found)
    a, b, c, d, e, f = values(found[0].question)
    assert int(found[0].answer) == a + b * c + d - e * f
    fewer = load_transfer(Transfer(max_value=35, size=50), Problems(max_value=30), seed=3)
    assert {problem.id for problem in fewer} < {problem.id for problem in found}
    assert load_transfer(Transfer(max_value=35, size=200), Problems(max_value=30), seed=4) != found


def test_arithmetic_after_a_file_has_all_values(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", ["one?", "two?"])
    found = load_transfer(Transfer(size=100), Problems(train=file), seed=1)
    assert min(max(values(problem.question)) for problem in found) < 30


def test_too_few_arithmetic_problems_are_refused() -> None:
    with pytest.raises(
        TooFewProblemsError, match=r"transfer.max_value=3 allows about \d+ problems with a value above 2"
    ):
        load_transfer(Transfer(max_value=3, size=300), Problems(max_value=2), seed=1)


def test_a_file_after_arithmetic(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "b.jsonl", [f"{n}?" for n in range(5)])
    found = load_transfer(Transfer(source=file), Problems(), seed=1)
    assert sorted(problem.question for problem in found) == [f"{n}?" for n in range(5)]
    with pytest.raises(ProblemFileError, match=r"has 5 problems, but size asks for 6"):
        load_transfer(Transfer(source=file, size=6), Problems(), seed=1)


def test_a_question_that_is_trained_on_is_refused(tmp_path: Path) -> None:
    train = jsonl(tmp_path / "a.jsonl", ["one?", "two?", "three?"])
    other = jsonl(tmp_path / "b.jsonl", ["four?", "two?"])
    with pytest.raises(OverlapError, match=r"1 questions .*\n.*a.jsonl:2 and .*b.jsonl:2: 'two\?'"):
        load_transfer(Transfer(source=other), Problems(train=train), seed=1)


def test_of_a_data_set_what_is_trained_on_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = jsonl(tmp_path / "a.jsonl", ["one?", "two?"])
    folder = tmp_path / "other"
    folder.mkdir()
    jsonl(folder / "test.jsonl", ["four?", "two?"])
    with caplog.at_level(logging.WARNING, "maft.problems"):
        found = load_transfer(Transfer(source=f"hub:{folder}:test"), Problems(train=train), seed=1)
    assert [problem.question for problem in found] == ["four?"]
    assert "1 problems are trained on, and are left out" in caplog.text


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"transfer": {"max_value": 30}}, "transfer.max_value is 30, but training problems have values up to"),
        ({"transfer": {"source": "a.csv"}, "problems": {"train": "a.csv"}}, "transfer.source is a.csv, and so is"),
        ({"transfer": {"max_value": 1}}, "greater than or equal to 2"),
    ],
)
def test_config_refuses(config: dict[str, object], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Benchmark.model_validate(config)


def test_a_size_that_went_through_json_is_still_unset() -> None:
    again = Benchmark.model_validate_json(Benchmark(transfer=Transfer(max_value=35)).model_dump_json())
    assert again.transfer is not None and "size" not in again.transfer.model_fields_set
    assert load_problems(again.problems, 1).evaluation
