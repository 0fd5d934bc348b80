"""Whole jobs on problems in published forms, which the base model solves by chance or not at all."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Maft

COUNT = 24
LETTER = r"The answer is the letter of the right choice\."


def svamp(folder: Path) -> tuple[Path, str, str]:
    chance = random.Random(1)
    rows = [
        {"ID": f"x-{n}", "Body": f"Box {n} has cards.", "Question": "Is the top one 1 or 2?", "Answer": answer}
        for n, answer in enumerate(chance.choices([1.0, 2.0], [0.7, 0.3], k=COUNT))
    ]
    path = folder / "SVAMP.json"
    path.write_text(json.dumps(rows, indent=4), "utf-8")
    return path, r"Box \d+ has cards\. Is the top one 1 or 2\?", r"[12]\.0"


def arc(folder: Path) -> tuple[Path, str, str]:
    choices = {"text": ["ice", "fog"], "label": ["1", "2"]}
    rows = [{"question": f"Which is sample {n}?", "choices": choices, "answerKey": "1"} for n in range(COUNT)]
    path = folder / "ARC.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode("utf-8")))
    return path, rf"Which is sample \d+\?\n\n\(A\) ice\n\(B\) fog\n\n{LETTER}", "A"


def aqua(folder: Path) -> tuple[Path, str, str]:
    rows = [
        {"question": f"What is {n} + 1?", "options": [f"A){n}", f"B){n + 1}"], "rationale": "Count.", "correct": "B"}
        for n in range(COUNT)
    ]
    path = folder / "test.json"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path, rf"What is (\d+) \+ 1\?\n\n\(A\) \1\n\(B\) \d+\n\n{LETTER}", "B"


@pytest.mark.parametrize("form", [svamp, arc, aqua], ids=lambda form: form.__name__)
def test_a_job_on_a_published_form(
    maft: Maft, brief: list[str], tmp_path: Path, form: Callable[[Path], tuple[Path, str, str]]
) -> None:
    path, question, answer = form(tmp_path)
    settings = [f"problems.train={path}", f"society={form.__name__}", "iterations=1", "finetune.min_votes=1"]
    options = [word for setting in settings for word in ("--set", setting)]
    report = maft.json("run", *brief, *options, "--home", str(tmp_path / "home"))
    base, tuned = report["generations"]
    assert (base["problems"], tuned["problems"]) == (8, 8)
    assert tuned["kept_labels"] + tuned["dropped_labels"] == 10 and tuned["trained_tokens"] > 0
    # The model answers 1 or 2, never with a letter.
    assert (base["accuracy"] > 0) == (form is svamp)
    frames = map(pd.read_parquet, (tmp_path / "home" / "artifacts" / "frames").glob("*.parquet"))
    asked = pd.concat([frame for frame in frames if [*frame.columns] == ["id", "question", "answer"]])
    assert len(asked) == 10 + 8
    assert asked["question"].str.fullmatch(question).all() and asked["answer"].str.fullmatch(answer).all()
