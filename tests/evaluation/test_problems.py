"""Problem files and the sets drawn from them. Run: pytest tests/evaluation/test_problems.py"""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evaluation.answers.kinds.json_form import Json
from evaluation.answers.kinds.math import MATH
from evaluation.problems.files import read_problems
from evaluation.problems.problem import MAX_QUESTION_CHARS, Located, Problem, ProblemFileError, check_references
from evaluation.problems.repeated import same_question
from evaluation.problems.rows import READERS
from evaluation.problems.settings import Problems
from evaluation.problems.solutions import reference
from evaluation.problems.sources import OverlapError, ProblemSets, load_problems

SHARED_DATA = Path(os.environ.get("MAFT_SHARED_DATA") or Path(__file__).parents[2].parent / "shared/data")
GSM8K_TRAIN, GSM8K_TEST = SHARED_DATA / "gsm8k_train_1000.jsonl", SHARED_DATA / "gsm8k_test.jsonl"
GOOD = '{"question": "One?", "answer": "1"}'


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def write_questions(path: Path, count: int, prefix: str = "Question") -> str:
    return write(path, *(json.dumps({"question": f"{prefix} {n}", "answer": n}) for n in range(count)))


def ids(problems: list[Problem]) -> list[str]:
    return [problem.id for problem in problems]


def test_jsonl_of_all_the_forms_of_an_answer(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        '\ufeff{"question": " Plain? ", "answer": " 1/2 "}',
        "",
        '{"question": "GSM8K?", "answer": "2,000 + 1 = 2,001\\n#### 2,001", "other": null}\r',
        '{"question": "MATH?", "answer": "So \\\\boxed{1} or $\\\\boxed{\\\\frac{1}{2}}$."}',
        '{"question": "Integer?", "answer": 123456789012345678901234567890}',
        '{"question": "Decimal?", "answer": 1.50}',
        '{"question": "Line \u2028 separator?", "answer": "x"}',
    )
    located = read_problems(path)
    assert [problem.answer for problem, _ in located] == [
        "1/2",
        "2001",
        "\\frac{1}{2}",
        "123456789012345678901234567890",
        "1.50",
        "x",
    ]
    assert located[0].problem.question == "Plain?"
    assert [where for _, where in located] == [f"{path}:{n}" for n in (1, 3, 4, 5, 6, 7)]


def test_answers_that_are_json(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        '{"question": "One?", "answer": {"quantity": 3, "item": "a #### b", "price": 1.50, "of": {"b": [1e2, null]}}}',
        '{"question": "Two?", "answer": ["tea", 2, true]}',
        '{"question": "Three?", "answer": {"answer": 1000000000000000000000}}',
        '{"question": "Four?", "answer": {"name": "caf\\u00e9 \\"x\\""}}',
    )
    answers = [located.problem.answer for located in read_problems(path)]
    assert answers == [
        '{"item":"a #### b","of":{"b":[1e2,null]},"price":1.50,"quantity":3}',
        '["tea",2,true]',
        '{"answer":1000000000000000000000}',
        '{"name":"café \\"x\\""}',
    ]
    parquet = str(tmp_path / "a.parquet")
    pd.DataFrame({"question": ["One?"], "answer": [{"item": "mug", "quantity": 3}]}).to_parquet(parquet)
    assert read_problems(parquet)[0].problem.answer == '{"item":"mug","quantity":3}'


@pytest.mark.parametrize("answer", [{"item": "mug"}, ["tea"], [{"a": 1}], {}])
def test_a_json_answer_fits_only_the_kind_json(tmp_path: Path, answer: object) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps({"question": "One?", "answer": answer}))
    problems = read_problems(path)
    with pytest.raises(ProblemFileError, match=r"a.jsonl:1: .*math: it is JSON; set answers"):
        check_references(problems, MATH)
    check_references(problems, Json(json_schema={"type": ["object", "array"]}))


@pytest.mark.parametrize("answer", ["[0, 1]", "[[1, 2], [3, 4]]", "{1, 2}", "[0, \\infty)", "[a, b]", "{", "["])
def test_brackets_of_mathematics_are_no_json(answer: str) -> None:
    check_references([Located(Problem(question="One?", answer=answer), "a.jsonl:1")], MATH)


def test_csv_with_cells_over_several_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.CSV", "id, problem,solution", '1,"First,\nin two lines?",5', "", "2,Second?,#### 6")
    located = read_problems(path, "problem", "solution")
    assert [(p.question, p.answer, where) for p, where in located] == [
        ("First,\nin two lines?", "5", f"{path}:2"),
        ("Second?", "6", f"{path}:5"),
    ]


def test_parquet(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pd.DataFrame({"question": ["One?", "Two?"], "answer": [1, 2]}).to_parquet(path)
    assert [(p.answer, where) for p, where in read_problems(path)] == [("1", f"{path}:row 1"), ("2", f"{path}:row 2")]


def test_the_same_question_has_the_same_id_in_every_file(tmp_path: Path) -> None:
    lines = write(tmp_path / "a.jsonl", GOOD)
    cells = write(tmp_path / "a.csv", "question,answer", "  ONE?,1")
    assert read_problems(lines)[0].problem.id == read_problems(cells)[0].problem.id


JSONL_FAULTS = [
    (["{'question': 1}"], ":1: not JSON", "one whole object"),
    ([GOOD, '{"question": "Two?", "ans'], ":2: not JSON", "one whole object"),
    ([GOOD, "[" * 100_000], ":2: not JSON", "one whole object"),
    ([GOOD, '{"question": "Two?", "answer": NaN}'], ":2: not JSON (NaN is not JSON)", ""),
    ([GOOD, "", '["Two?", "2"]'], ":3: a list, not an object", '{"question": ..., "answer": ...}'),
    (["5"], ":1: text, not an object", ""),
    ([], "no problems in it", "at least one line"),
    (["", "  "], "no problems in it", ""),
    ([GOOD, '{"Question": "Two?", "answer": "2"}'], ":2: no field 'question'", "the nearest 'Question'"),
    (
        [GOOD, '{"question": "Two?", "target": "2"}'],
        ":2: no field 'answer'; there are: 'question', 'target'",
        "answer_f",
    ),
    ([GOOD, "{}"], ":2: no field 'question'; there are: none", ""),
    ([GOOD, '{"question": "Two?", "answer": " "}'], ":2: 'answer' is blank", "every problem needs one"),
    ([GOOD, '{"question": "Two?", "answer": null}'], ":2: 'answer' is blank", ""),
    ([GOOD, '{"question": "\\n", "answer": "2"}'], ":2: 'question' is blank", ""),
    ([GOOD, '{"question": "Two?", "answer": "2 = 2 ####"}'], ":2: 'answer' has nothing after ####", ""),
    ([GOOD, '{"question": "Two?", "answer": "\\\\boxed{ }"}'], ":2: 'answer' has nothing", "\\boxed{}"),
    ([GOOD, '{"question": "Two?", "answer": [0, 1]}'], ":2: 'answer' is a list", "text or a number"),
    ([GOOD, '{"question": {"text": "Two?"}, "answer": "2"}'], ":2: 'question' is an object", "text or a number"),
    ([GOOD, '{"question": ["Two?"], "answer": "2"}'], ":2: 'question' is a list", "text or a number"),
    ([GOOD, '{"question": "Two?", "answer": ' + '{"a": ' * 21 + "2" + "}" * 22], ":2: 'answer' cannot", "20 levels"),
    ([GOOD, '{"question": true, "answer": "2"}'], ":2: 'question' is true or false", "text or a number"),
    ([GOOD, '{"question": "Two\\ud800", "answer": "2"}'], ":2: 'question' holds half a character", ""),
    (
        [GOOD, json.dumps({"question": "x" * (MAX_QUESTION_CHARS + 1), "answer": 2})],
        ":2: the question has 20001",
        "20000",
    ),
    ([GOOD, json.dumps({"question": "Two?", "answer": "x " * 501})], ":2: the answer has 1001", "put the answer after"),
    (
        [GOOD, '{"question": "Two?", "answer": "2"}', '{"question": "one", "answer": "1"}'],
        ":3: the same question",
        ":1:",
    ),
]


@pytest.mark.parametrize(("lines", "fault", "remedy"), JSONL_FAULTS, ids=lambda value: str(value)[-30:])
def test_faults_of_jsonl(tmp_path: Path, lines: list[str], fault: str, remedy: str) -> None:
    path = write(tmp_path / "a.jsonl", *lines)
    with pytest.raises(ProblemFileError) as error:
        read_problems(path)
    assert str(error.value).startswith(path)
    assert fault in str(error.value)
    assert remedy in str(error.value)


CSV_FAULTS = [
    (["question,answer"], "no problems in it"),
    ([""], "no problems in it"),
    (["question;answer", "One?;1"], ":2: no field 'question'; there are: 'question;answer'"),
    (["question,answer", "One?,1,2"], ":2: 3 cells, but the header has 2"),
    (["question,answer", '"a\nb?",1', "Two?"], ":4: 1 cells, but the header has 2"),
    (["question,answer", 'One?,"1" 2'], ":2: not CSV"),
    (["question,answer", "One?,1", 'Two?,"2'], ":3: not CSV"),
    (["question,answer", f"{'x' * 200_000},1"], ":2: not CSV (field larger"),
    (["question,answer,question", "One?,1,2"], ":1: column 'question' is there twice"),
    (["question,answer", "One?,"], ":2: 'answer' is blank"),
    (["question,answer", "One?,1", '"Two\n?",2', "ONE,1"], ":5: the same question"),
]


@pytest.mark.parametrize(("lines", "fault"), CSV_FAULTS, ids=lambda value: str(value)[-30:])
def test_faults_of_csv(tmp_path: Path, lines: list[str], fault: str) -> None:
    path = write(tmp_path / "a.csv", *lines)
    with pytest.raises(ProblemFileError) as error:
        read_problems(path)
    assert str(error.value).startswith(path)
    assert fault in str(error.value)


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        ({"question": [], "answer": []}, "no problems in it"),
        ({"question": ["One?", "Two?"], "answer": ["1", None]}, ":row 2: 'answer' is blank"),
        ({"question": ["One?", "Two?"], "answer": [1.0, float("nan")]}, ":row 2: 'answer' is blank"),
        ({"question": ["One?"], "answers": ["1"]}, ":row 1: no field 'answer'"),
        ({"question": ["One?", "Two?", "One"], "answer": [1, 2, 3]}, ":row 3: the same question as"),
        ({"question": ["One?"], "answer": [b"1"]}, ":row 1: 'answer' is bytes"),
    ],
)
def test_faults_of_parquet(tmp_path: Path, frame: dict[str, list[object]], fault: str) -> None:
    path = str(tmp_path / "a.parquet")
    pd.DataFrame(frame).to_parquet(path)
    with pytest.raises(ProblemFileError) as error:
        read_problems(path)
    assert str(error.value).startswith(path)
    assert fault in str(error.value)


def test_faults_of_whole_files(tmp_path: Path) -> None:
    with pytest.raises(ProblemFileError, match="no such file"):
        read_problems(str(tmp_path / "a.jsonl"))
    with pytest.raises(
        ProblemFileError, match=r"ends in \.jsonl, \.json, \.jsonl\.gz, \.json\.gz, \.csv, \.parquet, not in \.txt"
    ):
        read_problems(write(tmp_path / "a.txt", GOOD))
    with pytest.raises(ProblemFileError, match="not in nothing"):
        read_problems("train")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ProblemFileError, match="not a file"):
        read_problems(str(tmp_path / "folder.csv"))
    for name in ("b.jsonl", "b.csv"):
        (tmp_path / name).write_bytes(b"question,answer\nfine?,1\n\xff\xfe,2\n")
        with pytest.raises(ProblemFileError, match=r":3: not UTF-8 .* save the file as UTF-8"):
            read_problems(str(tmp_path / name))
    with pytest.raises(ProblemFileError, match="not Parquet"):
        read_problems(write(tmp_path / "b.parquet", GOOD))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    for suffix in READERS:
        path = tmp_path_factory.getbasetemp() / f"any{suffix}"
        path.write_bytes(data)
        with pytest.raises(ProblemFileError):
            read_problems(str(path))


def test_reference() -> None:
    assert reference("a #### 1 #### 1,234 ") == "1234"
    assert reference(" \\frac{1}{2} ") == "\\frac{1}{2}"
    assert reference("Tom, Dick") == "Tom, Dick"


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("What is 3 + 4?", "what is 3+4", True),
        ("He had 1,000 apples, then 2.", "He had 1000 apples; then 2", True),
        ("\u201cHi\u201d, it\u2019s 5:30", "Hi it's 5:30", True),
        ("Fullwidth \uff15", "fullwidth 5", True),
        ("What is 3+4?", "What is 3-4?", False),
        ("What is 1.5?", "What is 15?", False),
        ("What is 3 4?", "What is 34?", False),
        ("What is 5!?", "What is 5?", False),
        ("Find f'(2).", "Find f(2).", False),
    ],
)
def test_same_question(a: str, b: str, same: bool) -> None:
    assert (same_question(a) == same_question(b)) == same


def test_arithmetic_sets_are_disjoint_and_each_stands_by_itself() -> None:
    sets = load_problems(Problems(train_size=30, evaluation_size=20), seed=1)
    assert (len(sets.train), len(sets.evaluation)) == (30, 20)
    assert len({*ids(sets.train), *ids(sets.evaluation)}) == 50
    assert load_problems(Problems(train_size=30, evaluation_size=20), seed=1) == sets
    larger = load_problems(Problems(train_size=30, evaluation_size=60), seed=1)
    assert larger.train == sets.train
    assert larger.evaluation[:20] == sets.evaluation
    assert not set(ids(load_problems(Problems(train_size=30, evaluation_size=20), seed=2).train)) & set(ids(sets.train))


@pytest.mark.parametrize("max_value", [2, 3, 5, 7])
def test_too_few_arithmetic_problems_are_refused_and_not_searched_for(max_value: int) -> None:
    with pytest.raises(ValueError, match=f"max_value={max_value} allows about .* raise max_value"):
        load_problems(Problems(max_value=max_value, train_size=3_000, evaluation_size=1), seed=1)


def test_small_values_give_what_they_have() -> None:
    sets = load_problems(Problems(max_value=3, train_size=22, evaluation_size=22), seed=1)
    assert len({*ids(sets.train), *ids(sets.evaluation)}) == 44


def test_one_file_is_split(tmp_path: Path) -> None:
    path = write_questions(tmp_path / "a.jsonl", 20)
    sets = load_problems(Problems(train=path, train_size=8, evaluation_size=12), seed=1)
    assert (len(sets.train), len(sets.evaluation)) == (8, 12)
    assert len({*ids(sets.train), *ids(sets.evaluation)}) == 20
    assert load_problems(Problems(train=path, evaluation=path, train_size=8, evaluation_size=12), seed=1) == sets
    assert load_problems(Problems(train=path, train_size=4, evaluation_size=12), seed=1).evaluation == sets.evaluation
    assert load_problems(Problems(train=path, train_size=8, evaluation_size=2), seed=1).train == sets.train
    assert load_problems(Problems(train=path, train_size=8, evaluation_size=12), seed=2) != sets


def test_the_order_of_a_file_changes_nothing(tmp_path: Path) -> None:
    path = write_questions(tmp_path / "a.jsonl", 20)
    turned = write(tmp_path / "b.jsonl", *reversed(Path(path).read_text().splitlines()))
    config = {"train_size": 5, "evaluation_size": 5}
    assert load_problems(Problems(train=path, **config), 1) == load_problems(Problems(train=turned, **config), 1)


def test_unset_sizes_take_what_there_is_and_set_ones_must_be_there(tmp_path: Path) -> None:
    path = write_questions(tmp_path / "a.jsonl", 9)
    other = write_questions(tmp_path / "b.jsonl", 4, "Other")

    def sizes(**config: object) -> tuple[int, int]:
        sets = load_problems(Problems.model_validate(config), seed=1)
        assert not set(ids(sets.train)) & set(ids(sets.evaluation))
        return len(sets.train), len(sets.evaluation)

    assert sizes(train=path) == (5, 4)
    assert sizes(train=path, evaluation_size=2) == (7, 2)
    assert sizes(train=path, train_size=2) == (2, 7)
    assert sizes(train=path, evaluation=other) == (9, 4)
    assert sizes(train=path, evaluation=other, train_size=9) == (9, 4)
    assert sizes(train="arithmetic", evaluation=other) == (300, 4)
    assert sizes(train=path, evaluation="arithmetic", evaluation_size=3) == (9, 3)
    with pytest.raises(ProblemFileError, match=r"a\.jsonl: has 9 problems, but train_size asks for 10.*at most 9"):
        sizes(train=path, evaluation=other, train_size=10)
    with pytest.raises(ProblemFileError, match=r"b\.jsonl: has 4 problems, but evaluation_size asks for 400"):
        sizes(train=path, evaluation=other, evaluation_size=400)
    with pytest.raises(ProblemFileError, match="has 9 problems for training and evaluation together"):
        sizes(train=path, train_size=5, evaluation_size=5)
    with pytest.raises(ProblemFileError, match="has 9 problems for training and evaluation together"):
        sizes(train=path, train_size=9)
    with pytest.raises(ProblemFileError, match="has 1 problems for training and evaluation together"):
        sizes(train=write_questions(tmp_path / "one.jsonl", 1))


def test_a_config_that_went_through_json_still_knows_what_was_set(tmp_path: Path) -> None:
    path = write_questions(tmp_path / "a.jsonl", 9)
    config = Problems(train=path, evaluation_size=2)
    copy = Problems.model_validate_json(config.model_dump_json())
    assert load_problems(copy, 1) == load_problems(config, 1)
    assert copy == config
    assert copy.model_dump()["evaluation_size"] == 2


def test_shared_questions_are_refused_with_both_places(tmp_path: Path) -> None:
    train = write_questions(tmp_path / "a.jsonl", 30)
    evaluation = write(tmp_path / "b.csv", "question,answer", "New?,1", *(f"question  {n}?,{n}" for n in range(12, 24)))
    with pytest.raises(OverlapError) as error:
        # The overlap is refused, even if the few drawn problems might not overlap.
        load_problems(Problems(train=train, evaluation=evaluation, train_size=1, evaluation_size=1), seed=1)
    message = str(error.value)
    assert message.startswith("12 questions are both in training and in evaluation")
    assert f"{train}:13 and {evaluation}:3: 'question  12?'" in message
    assert message.count(" and " + evaluation) == 10
    assert message.endswith("and 2 more")


@pytest.mark.parametrize(
    "config",
    [{"train_size": 0}, {"max_value": 1}, {"max_value": 1000}, {"train": ""}, {"sizes": 3}, {"evaluation": ""}],
)
def test_config_refuses(config: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Problems.model_validate(config)


def test_every_field_of_the_config_is_described() -> None:
    assert all(field.description for field in Problems.model_fields.values())


@pytest.mark.skipif(not (GSM8K_TRAIN.exists() and GSM8K_TEST.exists()), reason="no GSM8K files beside the project")
def test_gsm8k_as_published() -> None:
    train, test = read_problems(str(GSM8K_TRAIN)), read_problems(str(GSM8K_TEST))
    assert (len(train), len(test)) == (1000, 1319)
    assert test[0].problem.question.startswith("Janet")
    assert test[0].problem.answer == "18"
    assert all(problem.answer.lstrip("-").replace(".", "").isdigit() for problem, _ in train + test)
    sets = load_problems(Problems(train=str(GSM8K_TRAIN), evaluation=str(GSM8K_TEST), evaluation_size=500), seed=1)
    assert isinstance(sets, ProblemSets)
    assert (len(sets.train), len(sets.evaluation)) == (300, 500)
