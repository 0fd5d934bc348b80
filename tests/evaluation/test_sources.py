"""Sources of problems: those of this project, and one in a plugin file.

Run: pytest tests/evaluation/test_sources.py
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evaluation.problems.settings import ARITHMETIC, Problems, Transfer
from evaluation.problems.source import SOURCES, GeneratedSource, forms, source_of

TOY = '''
"""Sums as a source of problems: toy:N has N of them."""

from evaluation.problems.problem import ProblemFileError
from evaluation.problems.source import SOURCES, ListedSource


def owns(name):
    return name.startswith("toy:")


def rows(name):
    count = name.removeprefix("toy:")
    if not count.isdigit():
        raise ProblemFileError(f"{name}: {count} is no number")
    return [(f"{name}:{n}", {"question": f"What is {n} + 1?", "answer": n + 1}) for n in range(int(count))]


SOURCES.add("toy")(ListedSource(about="toy:N, for N sums", owns=owns, rows=rows))
'''


def with_toy(folder: Path, code: str) -> Any:
    """The JSON that code prints in an interpreter that has the toy source as a plugin."""
    (folder / "toy_source.py").write_text(TOY)
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": path, "MAFT_PLUGINS": "toy_source"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_a_source_in_one_file_is_known_to_the_loader_the_description_and_the_message(tmp_path: Path) -> None:
    code = """
import json
from evaluation.problems.problem import ProblemFileError
from evaluation.problems.settings import Problems, Transfer
from evaluation.problems.sources import load_problems, load_transfer
sets = load_problems(Problems(train="toy:9", train_size=6, evaluation_size=3), seed=1)
both = load_problems(Problems(train="toy:9", evaluation="toy:4"), seed=1)
messages = []
for name in ("toi:9", "toy:nine"):
    try:
        load_problems(Problems(train=name), seed=1)
    except ProblemFileError as error:
        messages.append(str(error))
print(json.dumps({
    "train": [(p.question, p.answer) for p in sets.train],
    "evaluation": [(p.question, p.answer) for p in sets.evaluation],
    "both": [[p.answer for p in each] for each in (both.train, both.evaluation)],
    "transfer": len(load_transfer(Transfer(source="toy:5"), Problems(), seed=1)),
    "messages": messages,
    "descriptions": [
        each.model_json_schema()["properties"][field]["description"]
        for each, field in ((Problems, "train"), (Transfer, "source"))
    ],
}))
"""
    found = with_toy(tmp_path, code)
    assert sorted(found["train"] + found["evaluation"]) == [[f"What is {n} + 1?", str(n + 1)] for n in range(9)]
    assert (len(found["train"]), len(found["evaluation"]), found["transfer"]) == (6, 3, 5)
    # A user cannot change this source, so its held-out problems are left out of training, without an error.
    assert [sorted(map(int, answers)) for answers in found["both"]] == [[5, 6, 7, 8, 9], [1, 2, 3, 4]]
    assert "toi:9: a problem file ends in" in found["messages"][0] and "or toy:N, for N sums" in found["messages"][0]
    assert found["messages"][1] == "toy:nine: nine is no number"
    assert all("hub:DATASET:SUBSET:SPLIT, or toy:N, for N sums." in each for each in found["descriptions"])


def test_the_sources_of_this_project() -> None:
    assert SOURCES.names()[:3] == ("arithmetic", "file", "hub")
    for name, kind in {
        ARITHMETIC: "arithmetic",
        "a.csv": "file",
        "arithmetic.jsonl": "file",
        "hub:a/b:c": "hub",
    }.items():
        assert source_of(name) is SOURCES[kind], name
    assert isinstance(source_of(Problems().train), GeneratedSource)
    described = Problems.model_fields["train"].description
    assert described == f"{forms()}." and described.startswith(
        "arithmetic, for generated problems, the path of a .jsonl, .json, .jsonl.gz, .json.gz, .csv or .parquet file, "
        "or a data set as hub:"
    )


@pytest.mark.parametrize(
    ("transfer", "problems", "fault"),
    [
        ({"max_value": 30}, {}, "transfer.max_value is 30, but training problems have values up to"),
        ({"source": "a.csv"}, {"train": "a.csv"}, "transfer.source is a.csv, and so is problems.train"),
        ({"max_value": 31}, {}, None),
        ({"source": "a.csv"}, {}, None),
        ({}, {"train": "a.csv"}, None),
    ],
)
def test_transfer_is_to_problems_of_another_kind(transfer: dict, problems: dict, fault: str | None) -> None:
    if fault is None:
        Transfer(**transfer).refuse_problems_of(Problems(**problems))
    else:
        with pytest.raises(ValueError, match=fault):
            Transfer(**transfer).refuse_problems_of(Problems(**problems))


def test_transfer_in_words() -> None:
    assert Transfer(max_value=40).in_words == "arithmetic with values up to 40"
    assert Transfer(source="a.csv").in_words == "a.csv"
