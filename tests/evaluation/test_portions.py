"""Portions of the problems: a nightly run must not train on problems that it is measured on."""

from pathlib import Path

import pytest

from evaluation.problems.files import ProblemFileError
from evaluation.problems.settings import Problems
from evaluation.problems.sources import load_held_out, load_problems
from tests.evaluation.test_problems import ids, write_questions


@pytest.mark.parametrize("source", ["arithmetic", "one file", "two files"])
def test_portions_are_other_problems_and_none_is_ever_trained_on_and_held_out(tmp_path: Path, source: str) -> None:
    path, other = write_questions(tmp_path / "a.jsonl", 60), write_questions(tmp_path / "b.jsonl", 60, "Other")
    config = {
        "arithmetic": Problems(train_size=6, evaluation_size=9),
        "one file": Problems(train=path, train_size=6, evaluation_size=9),
        "two files": Problems(train=path, evaluation=other, train_size=6, evaluation_size=9),
    }[source]
    portions = [load_problems(config, 1, draw) for draw in range(4)]
    assert portions[0] == load_problems(config, 1) and portions[2] == load_problems(config, 1, 2)
    trained, held_out = (
        [id_ for p in portions for id_ in ids(p.train)],
        [id_ for p in portions for id_ in ids(p.evaluation)],
    )
    assert len(set(trained)) == len(trained) == 24
    assert len(set(held_out)) == len(held_out) == 36
    assert not set(trained) & set(held_out)


def test_a_file_that_is_used_up_begins_anew(tmp_path: Path) -> None:
    path = write_questions(tmp_path / "a.jsonl", 20)
    config = Problems(train=path, train_size=8, evaluation_size=12)
    portions = [load_problems(config, 1, draw) for draw in range(3)]
    assert [sorted(ids(p.train)) for p in portions] == [sorted(ids(portions[0].train))] * 3


def test_held_out_problems_alone(tmp_path: Path) -> None:
    path = write_questions(tmp_path / "a.jsonl", 20)
    assert len(load_held_out(Problems(evaluation=path), 1)) == 20
    chosen = load_held_out(Problems(evaluation=path, evaluation_size=5), 1)
    assert len(chosen) == 5 and chosen != load_held_out(Problems(evaluation=path, evaluation_size=5), 2)
    generated = Problems(evaluation="arithmetic", evaluation_size=7)
    assert load_held_out(generated, 1) == load_problems(Problems(evaluation_size=7, train_size=2), 1).evaluation
    with pytest.raises(ProblemFileError, match="has 20 problems, but evaluation_size asks for 21"):
        load_held_out(Problems(evaluation=path, evaluation_size=21), 1)
