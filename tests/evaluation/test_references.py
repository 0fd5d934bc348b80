"""Reference answers that do not fit the kind of answers are named with their place."""

import json
import re
from pathlib import Path

import pytest

from evaluation.answers.kinds.choice import Choice
from evaluation.answers.kinds.number import Number
from evaluation.problems.problem import ProblemFileError
from evaluation.problems.settings import Problems, Transfer
from evaluation.problems.sources import load_held_out, load_problems, load_transfer


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_the_first_reference_of_another_kind_is_named_with_its_line(tmp_path: Path) -> None:
    answers = ["14", "a dozen", "15", "many", *map(str, range(20))]
    rows = [json.dumps({"question": f"What is {n}+7?", "answer": answer}) for n, answer in enumerate(answers)]
    path = write(tmp_path / "train.jsonl", *rows)
    held = write(tmp_path / "held.jsonl", json.dumps({"question": "What is 1?", "answer": "one"}))
    right = (
        f"{path}:2: the reference answer 'a dozen' of 'What is 1+7?' does not fit answers.kind number: it is no number"
    )
    for sources in ({"train": path}, {"train": path, "evaluation": held}, {"train": "arithmetic", "evaluation": path}):
        for seed in (1, 2, 3):
            config = Problems.model_validate({**sources, "train_size": 1})
            with pytest.raises(ProblemFileError, match=f"^{re.escape(right)}$"):
                load_problems(config, seed, grader=Number())
    with pytest.raises(ProblemFileError, match=f"^{re.escape(right)}$"):
        load_held_out(Problems(evaluation=path), 1, grader=Number())
    with pytest.raises(ProblemFileError, match=f"^{re.escape(right)}$"):
        load_transfer(Transfer(source=path), Problems(), 1, grader=Number())
    with pytest.raises(ProblemFileError, match=r"^generated arithmetic:1: .*none of the labels"):
        load_problems(Problems(), 1, grader=Choice())
    assert load_problems(Problems(train=path), 1).train
