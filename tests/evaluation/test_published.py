"""MATH and MMLU from files, and the choice of levels and subjects. Run: pytest tests/evaluation/test_published.py"""

import json
from pathlib import Path

import pandas as pd
import pytest

from evaluation.problems.files import ProblemFileError, read_problems
from evaluation.problems.settings import Problems
from evaluation.problems.sources import load_held_out, load_problems

MATH = [
    ("What is $1+1$?", "It is $\\boxed{2}$.", "Level 1", "Algebra"),
    ("What is $2+1$?", "It is $\\boxed 3$.", "Level 2", "Counting & Probability"),
    ("What is $\\frac{4}{3}\\cdot 3$?", "Not $\\boxed{5}$: $\\boxed{\\frac{8}{2}}$.", "Level 3", "Number Theory"),
    ("What is $5^1$?", "It is $\\fbox{5}$.", "Level 5", "Algebra"),
    ("What is $3+3$?", "It is $\\boxed{6}$.", "Level ?", "Algebra"),
]


def lines(path: Path, *rows: dict[str, object]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


def math(path: Path) -> str:
    return lines(path, *({"problem": p, "solution": s, "level": lv, "type": t} for p, s, lv, t in MATH))


def answers(**config: object) -> set[str]:
    return {problem.answer for problem in load_held_out(Problems.model_validate(config), seed=1)}


def test_math_as_published(tmp_path: Path) -> None:
    located = read_problems(math(tmp_path / "math.jsonl"))
    assert [problem.answer for problem, _ in located] == ["2", "3", "\\frac{8}{2}", "5", "6"]
    assert located[0].problem.question == "What is $1+1$?"


def test_math_500_has_the_answer_beside_the_solution(tmp_path: Path) -> None:
    row = {"problem": "1+1?", "solution": "$\\boxed{two}$", "answer": "2", "subject": "Algebra", "level": 1}
    assert read_problems(lines(tmp_path / "a.jsonl", row))[0].problem.answer == "2"


def test_fields_that_the_config_names_are_no_others(tmp_path: Path) -> None:
    with pytest.raises(ProblemFileError, match=r":1: no field 'prompt'.*the nearest 'problem'"):
        read_problems(math(tmp_path / "math.jsonl"), question_field="prompt")
    with pytest.raises(ProblemFileError, match=r":1: 'solution' has no answer in \\boxed\{\}; put it there"):
        read_problems(lines(tmp_path / "a.jsonl", {"problem": "1+1?", "solution": "It is 2."}))


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"levels": [1, 2]}, {"2", "3"}),
        ({"subjects": ["algebra"]}, {"2", "5", "6"}),
        ({"subjects": ["counting_and_probability", "Number theory"]}, {"3", "\\frac{8}{2}"}),
        ({"levels": [1, 2, 3], "subjects": ["Algebra"]}, {"2"}),
        ({}, {"2", "3", "\\frac{8}{2}", "5", "6"}),
    ],
)
def test_levels_and_subjects(tmp_path: Path, chosen: dict[str, object], expected: set[str]) -> None:
    assert answers(evaluation=math(tmp_path / "math.jsonl"), **chosen) == expected


def test_levels_may_be_numbers_and_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame({"question": ["One?", "Two?", "None?"], "answer": [1, 2, 3], "level": [1, 2, None]})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert answers(evaluation=str(tmp_path / "a.parquet"), levels=[2]) == {"2"}
    assert answers(evaluation=str(tmp_path / "a.csv"), levels=[2]) == {"2"}


def test_a_source_without_levels_is_taken_whole_beside_one_that_has_them(tmp_path: Path) -> None:
    plain = lines(tmp_path / "b.jsonl", *({"question": f"Plain {n}?", "answer": n} for n in range(4)))
    for train, evaluation in ((math(tmp_path / "a.jsonl"), plain), (plain, math(tmp_path / "a.jsonl"))):
        sets = load_problems(Problems(train=train, evaluation=evaluation, levels=[1, 2, 3]), seed=1)
        assert {len(sets.train), len(sets.evaluation)} == {3, 4}
    mixed = load_problems(Problems(train=plain, levels=None), seed=1)
    assert len(mixed.train) == 2


@pytest.mark.parametrize(
    ("chosen", "fault"),
    [
        ({"levels": [1, 7]}, "problems.levels has '7', but there are: 1, 2, 3, 5"),
        ({"subjects": ["Topology"]}, "problems.subjects has 'Topology', but there are: algebra, counting and prob"),
        (
            {"levels": [5], "subjects": ["number theory"]},
            "problems.subjects has 'number theory', but there are: algebra",
        ),
    ],
)
def test_what_is_not_there_cannot_be_chosen(tmp_path: Path, chosen: dict[str, object], fault: str) -> None:
    with pytest.raises(ProblemFileError, match=fault):
        answers(evaluation=math(tmp_path / "math.jsonl"), **chosen)


def test_a_source_is_not_left_empty(tmp_path: Path) -> None:
    low = lines(tmp_path / "low.jsonl", {"question": "a?", "answer": "1", "level": 1})
    high = lines(tmp_path / "high.jsonl", {"question": "b?", "answer": "1", "level": 2})
    with pytest.raises(ProblemFileError, match=r"high\.jsonl: no problem of problems\.levels 1"):
        load_problems(Problems(train=low, evaluation=high, levels=[1]), seed=1)


def test_nothing_to_choose_by(tmp_path: Path) -> None:
    plain = lines(tmp_path / "a.jsonl", {"question": "a?", "answer": "1"}, {"question": "b?", "answer": "1"})
    with pytest.raises(
        ProblemFileError, match=r"a\.jsonl: no field 'level' to choose by; leave problems\.levels unset"
    ):
        load_problems(Problems(train=plain, levels=[1]), seed=1)
    with pytest.raises(ProblemFileError, match=r"^arithmetic: no field 'subject' to choose by"):
        load_problems(Problems(subjects=["algebra"]), seed=1)
    with pytest.raises(ProblemFileError, match=r"^arithmetic: no field 'level'"):
        load_held_out(Problems(levels=[1]), seed=1)


QUESTION = "Which is prime?\n\n(A) 4\n(B) 1\n(C) 2\n(D) 0\n\nThe answer is the letter of the right choice."
CHOICES = ["4", "1", "2", "0"]


@pytest.mark.parametrize("answer", [2, "C", "c", "2"])
def test_mmlu_in_jsonl(tmp_path: Path, answer: object) -> None:
    row = {"question": "Which is prime?", "choices": CHOICES, "answer": answer, "subject": "number_theory"}
    problem = read_problems(lines(tmp_path / "a.jsonl", row))[0].problem
    assert (problem.question, problem.answer) == (QUESTION, "C")


def test_a_number_is_the_place_of_a_choice_and_a_text_its_words(tmp_path: Path) -> None:
    # A number is an index: 1 is the second choice, here "1". A text is an answer: "0" is the fourth choice.
    rows = [{"question": f"{n}?", "choices": CHOICES, "answer": answer} for n, answer in enumerate([0, "0", 1, "4"])]
    assert [p.answer for p, _ in read_problems(lines(tmp_path / "a.jsonl", *rows))] == ["A", "D", "B", "A"]
    pd.DataFrame(rows[0::2]).to_parquet(tmp_path / "a.parquet")
    assert [p.answer for p, _ in read_problems(str(tmp_path / "a.parquet"))] == ["A", "B"]


def test_mmlu_in_csv_with_and_without_the_header_that_it_lacks(tmp_path: Path) -> None:
    rows = ["Which is prime?,4,1,2,0,C", '"Which is odd, then?",4,1,4,0,B']
    for name, head in (("published.csv", []), ("named.csv", ["question,A,B,C,D,answer"])):
        path = tmp_path / name
        path.write_text("\n".join([*head, *rows]))
        located = read_problems(str(path))
        assert [problem.answer for problem, _ in located] == ["C", "B"]
        assert located[0].problem.question == QUESTION
        assert [where for _, where in located] == [f"{path}:{n + len(head)}" for n in (1, 2)]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (
            {"choices": CHOICES, "answer": 4},
            r"'answer' is '4', which is none of 4 choices; give a letter from A to D",
        ),
        ({"choices": CHOICES, "answer": -1}, "'answer' is '-1', which is none"),
        ({"choices": CHOICES, "answer": 1.5}, "'answer' is '1.5', which is none"),
        ({"choices": CHOICES, "answer": "E"}, "'answer' is 'E', which is none"),
        ({"choices": ["same", "same"], "answer": "same"}, "'answer' is 'same', which is none of 2"),
        ({"choices": ["one"], "answer": 0}, "1 choices; a problem has 2 to 10"),
        ({"choices": ["x"] * 11, "answer": 0}, "11 choices; a problem has 2 to 10"),
        ({"choices": ["x", ["y"]], "answer": 0}, "a choice is a list; each must be text or a number"),
        ({"choices": ["x", None], "answer": 0}, "a choice is null"),
        ({"choices": CHOICES, "answer": " "}, "'answer' is blank"),
        ({"choices": CHOICES}, "no field 'answer'"),
    ],
)
def test_faults_of_multiple_choice(tmp_path: Path, row: dict[str, object], fault: str) -> None:
    with pytest.raises(ProblemFileError, match=rf"a\.jsonl:1: {fault}"):
        read_problems(lines(tmp_path / "a.jsonl", {"question": "Which?", **row}))


def test_the_same_question_with_other_choices_is_another(tmp_path: Path) -> None:
    row = {"question": "Which is true?", "choices": ["x", "y"], "answer": 0}
    assert len(read_problems(lines(tmp_path / "a.jsonl", row, {**row, "choices": ["x", "z"]}))) == 2
    with pytest.raises(ProblemFileError, match=":2: the same question as"):
        read_problems(lines(tmp_path / "b.jsonl", row, {**row, "answer": 1}))
