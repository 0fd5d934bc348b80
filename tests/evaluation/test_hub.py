"""Data sets of the hub, read from folders of the same form. Run: pytest tests/evaluation/test_hub.py"""

import logging
from pathlib import Path

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, Sequence, Value

from evaluation.problems.problem import ProblemFileError
from evaluation.problems.settings import Problems
from evaluation.problems.sources import OverlapError, load_held_out, load_problems
from evaluation.problems.sources.hub import hub_rows


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def save(
    folder: Path, subset: str, split: str, rows: list[dict[str, object]], features: Features | None = None
) -> None:
    """Write a data set in the form that it has on the hub: parquet files, and a card that names the subsets."""
    (folder / subset).mkdir(parents=True, exist_ok=True)
    Dataset.from_list(rows, features=features).to_parquet(folder / subset / f"{split}-00000-of-00001.parquet")
    subsets = sorted(path.name for path in folder.iterdir() if path.is_dir())
    card = "".join(f"- config_name: {name}\n  data_dir: {name}\n" for name in subsets)
    (folder / "README.md").write_text(f"---\nconfigs:\n{card}---\n")


def gsm8k(folder: Path) -> Path:
    for split, size in (("train", 12), ("test", 7)):
        rows = [{"question": f"{split} {n}?", "answer": f"1 + {n}\n#### 1,{n:03}"} for n in range(size)]
        save(folder, "main", split, rows)
    return folder


MMLU = Features(
    {
        "question": Value("string"),
        "subject": Value("string"),
        "choices": Sequence(Value("string")),
        "answer": ClassLabel(names=["A", "B", "C", "D"]),
    }
)


def test_gsm8k(tmp_path: Path) -> None:
    folder = gsm8k(tmp_path / "gsm8k")
    train, test = f"hub:{folder}:main:train", f"hub:{folder}:main:test"
    sets = load_problems(Problems(train=train, evaluation=test), seed=1)
    assert {problem.answer for problem in sets.train} == {f"1{n:03}" for n in range(12)}
    assert {problem.question for problem in sets.evaluation} == {f"test {n}?" for n in range(7)}
    assert load_problems(Problems(train=train, evaluation=test), seed=1) == sets
    assert load_held_out(Problems(evaluation=test), seed=1) == sets.evaluation
    with pytest.raises(ProblemFileError, match=rf"{test}: has 7 problems, but evaluation_size asks for 8"):
        load_problems(Problems(train=train, evaluation=test, evaluation_size=8), seed=1)


def test_one_split_is_parted_in_two(tmp_path: Path) -> None:
    source = f"hub:{gsm8k(tmp_path / 'gsm8k')}:main:train"
    for config in (Problems(train=source), Problems(train=source, evaluation=source)):
        sets = load_problems(config, seed=1)
        assert (len(sets.train), len(sets.evaluation)) == (6, 6)
        assert not {p.id for p in sets.train} & {p.id for p in sets.evaluation}


def test_mmlu_has_its_answers_as_classes(tmp_path: Path) -> None:
    rows = [
        {"question": f"Question {n}?", "subject": subject, "choices": ["0", "1", "2", "3"], "answer": n}
        for n, subject in enumerate(["abstract_algebra", "anatomy", "anatomy", "virology"])
    ]
    save(tmp_path / "mmlu", "all", "test", rows, MMLU)
    source = f"hub:{tmp_path / 'mmlu'}:all:test"
    assert [row["answer"] for _, row in hub_rows(source)] == ["A", "B", "C", "D"]
    assert {p.answer for p in load_held_out(Problems(evaluation=source), 1)} == {"A", "B", "C", "D"}
    chosen = load_held_out(Problems(evaluation=source, subjects=["anatomy"]), 1)
    assert {p.answer for p in chosen} == {"B", "C"}
    assert chosen[0].question.endswith("(D) 3\n\nThe answer is the letter of the right choice.")


def test_openbookqa_has_texts_and_labels(tmp_path: Path) -> None:
    texts = Sequence({"text": Value("string"), "label": Value("string")})
    features = Features({"question_stem": Value("string"), "choices": texts, "answerKey": Value("string")})
    rows = [{"question_stem": "Which?", "choices": {"text": ["ice", "fog"], "label": ["A", "B"]}, "answerKey": "B"}]
    save(tmp_path / "obqa", "main", "test", rows, features)
    problem = load_held_out(Problems(evaluation=f"hub:{tmp_path / 'obqa'}:main:test"), 1)[0]
    assert (problem.question.splitlines()[2:4], problem.answer) == (["(A) ice", "(B) fog"], "B")


def test_an_answer_that_the_publisher_keeps_is_missed(tmp_path: Path) -> None:
    row = {"question": "Hidden?", "subject": "anatomy", "choices": ["0", "1"], "answer": -1}
    save(tmp_path / "mmlu", "all", "test", [row], MMLU)
    with pytest.raises(ProblemFileError, match=r":all:test:row 1: 'answer' is blank"):
        load_held_out(Problems(evaluation=f"hub:{tmp_path / 'mmlu'}:all:test"), 1)


def test_math_of_several_subsets(tmp_path: Path) -> None:
    for subset, low in (("algebra", 1), ("geometry", 3), ("precalculus", 5)):
        rows = [
            {"problem": f"{subset} {n}", "solution": f"$\\boxed{{{n}}}$", "level": f"Level {n}", "type": subset.title()}
            for n in (low, low + 1)
        ]
        save(tmp_path / "math", subset, "train", rows)
    source = f"hub:{tmp_path / 'math'}:algebra+geometry:train"
    assert [where for where, _ in hub_rows(source)] == [f"{source}:row {n}" for n in (1, 2, 3, 4)]
    held_out = load_held_out(Problems(evaluation=source, levels=[1, 2, 3]), 1)
    assert {problem.question for problem in held_out} == {"algebra 1", "algebra 2", "geometry 3"}


def test_without_subsets(tmp_path: Path) -> None:
    Dataset.from_list([{"question": "One?", "answer": 1}]).to_parquet(tmp_path / "test.parquet")
    assert load_held_out(Problems(evaluation=f"hub:{tmp_path}:test"), 1)[0].answer == "1"


def test_what_a_data_set_repeats_or_holds_out_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"question": f"Question {n}?", "answer": str(n)} for n in (0, 1, 1, 2, 3)]
    rows.append({"question": "question  2", "answer": "another"})
    save(tmp_path / "set", "main", "train", rows)
    save(tmp_path / "set", "main", "test", [{"question": f"QUESTION {n}?", "answer": str(n)} for n in (2, 3, 4)])
    train, test = f"hub:{tmp_path / 'set'}:main:train", f"hub:{tmp_path / 'set'}:main:test"
    with caplog.at_level(logging.WARNING, "maft.problems"):
        sets = load_problems(Problems(train=train, evaluation=test), seed=1)
    assert {problem.answer for problem in sets.train} == {"0", "1"}
    assert {problem.answer for problem in sets.evaluation} == {"2", "3", "4"}
    assert [record.getMessage() for record in caplog.records] == [
        f"{train}: 2 questions are repeated; the first of each is kept",
        f"{train}: 2 problems are held out too, and are not trained on",
    ]
    with pytest.raises(OverlapError, match="all of its problems are held out too; name another source in train"):
        load_problems(Problems(train=test, evaluation=write(tmp_path / "e.csv", 2, 3, 4)), seed=1)
    # A user can remove the overlap from a file, so the overlap is an error.
    with pytest.raises(OverlapError, match="1 questions are both in training and in evaluation"):
        load_problems(Problems(train=write(tmp_path / "t.csv", 4, 9), evaluation=test), seed=1)


def write(path: Path, *numbers: int) -> str:
    path.write_text("\n".join(["question,answer", *(f"question {n},{n}" for n in numbers)]))
    return str(path)


@pytest.mark.parametrize(
    "source", ["hub:", "hub:org/name", "hub:org/name:", "hub:org/name::test", "hub:a/b:c:d:e", "hub:a/b:c+:d"]
)
def test_a_source_of_another_form_is_refused(source: str) -> None:
    with pytest.raises(
        ProblemFileError, match="a data set is named hub:DATASET:SPLIT or hub:DATASET:SUBSET:SPLIT, such as"
    ):
        hub_rows(source)


@pytest.mark.parametrize("path", ["gsm8k", "csv", "./nowhere", "/nowhere/at", "a/b/c"])
def test_what_is_neither_folder_nor_id_is_refused(path: str) -> None:
    with pytest.raises(ProblemFileError, match=f"'{path}' is neither a folder that exists nor a hub id like org/name"):
        hub_rows(f"hub:{path}:test")


def test_a_subset_or_split_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    folder = gsm8k(tmp_path / "gsm8k")
    with pytest.raises(ProblemFileError, match=rf"^hub:{folder}:socratic:test: .*socratic.*Available: \['main'\]"):
        hub_rows(f"hub:{folder}:socratic:test")
    with pytest.raises(ProblemFileError, match=rf"^hub:{folder}:main:dev: .*\"dev\".*\['train', 'test'\]"):
        hub_rows(f"hub:{folder}:main:dev")
    save(folder, "socratic", "test", [{"question": "a", "answer": "b"}])
    with pytest.raises(ProblemFileError, match=r"main.*socratic"):
        hub_rows(f"hub:{folder}:test")


def test_a_folder_with_no_data_or_broken_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "test.parquet").write_bytes(b"not parquet")
    for name in ("empty", "broken"):
        with pytest.raises(ProblemFileError, match=f"^hub:{tmp_path / name}:test: "):
            hub_rows(f"hub:{tmp_path / name}:test")


def test_a_data_set_with_code_of_its_own_is_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "scripted"
    folder.mkdir()
    (folder / "scripted.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ProblemFileError, match="scripts are no longer supported"):
        hub_rows(f"hub:{folder}:test")
    assert not (tmp_path / "ran").exists()


def test_a_hub_that_cannot_be_reached_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ProblemFileError, match=r"^hub:org/name-of-nothing:test: Couldn't reach") as caught:
        hub_rows("hub:org/name-of-nothing:test")
    assert "\n" not in str(caught.value)
