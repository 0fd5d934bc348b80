"""Each published form, read from a small file of that form. Run: pytest tests/evaluation/test_forms.py"""

import json
import time
from pathlib import Path

import pandas as pd
import pytest

from evaluation.answers.equality import equivalent
from evaluation.problems.files import read_problems
from evaluation.problems.problem import Problem, ProblemFileError
from evaluation.problems.published import DEFAULT, FORMS, Fields, Form, form_of
from evaluation.problems.settings import Problems, Transfer
from evaluation.problems.sources import load_held_out, load_transfer
from infra.config.job import Measurement
from tests.conftest import ROOT

CHOSEN = "The answer is the letter of the right choice."
CHOICES = f"(A) ice\n(B) fog\n(C) rain\n\n{CHOSEN}"
STEM = "Which one is a solid?"
LABELLED = [{"text": "ice", "label": "A"}, {"text": "fog", "label": "B"}, {"text": "rain", "label": "C"}]

EXAMPLES: dict[str, tuple[dict[str, object], str, str]] = {
    "MAWPS (Hugging Face), SVAMP (CSV)": (
        {"Question": "Ann has N_01 pens and buys N_00 .", "Numbers": "8 12", "Equation": "+ N_00 N_01", "Answer": 20.0},
        "Ann has 12 pens and buys 8 .",
        "20.0",
    ),
    "SVAMP, ASDiv-A": (
        {"ID": "x-1", "Body": "A pack has 8 pens. ", "Question": "How many are in 2?", "Answer": 16.0, "Type": "Mult"},
        "A pack has 8 pens. How many are in 2?",
        "16.0",
    ),
    "ASDiv": (
        {"body": "A pack has 8 pens.", "question": "How many are in 2?", "answer": "16 (pens)", "formula": "8*2=16"},
        "A pack has 8 pens. How many are in 2?",
        "16",
    ),
    "MAWPS, MultiArith, AddSub, SingleEq": (
        {"iIndex": 4, "sQuestion": "How many are 8 and 8?", "lEquations": ["X=8+8"], "lSolutions": [16.0]},
        "How many are 8 and 8?",
        "16.0",
    ),
    "MAWPS (MWPToolkit)": (
        {"id": 1, "original_text": "How many are 8 and 8?", "segmented_text": "...", "equation": "x=8+8", "ans": 16},
        "How many are 8 and 8?",
        "16",
    ),
    "GSM8K, MMLU, MMLU-Pro, MedQA": (
        {"question": "How many are 8 and 8?", "answer": "8 + 8 = 16\n#### 16"},
        "How many are 8 and 8?",
        "16",
    ),
    "MATH-500, AIME": ({"problem": "What is $8+8$?", "answer": "16", "year": 2031}, "What is $8+8$?", "16"),
    "MATH": ({"problem": "What is $8+8$?", "solution": "It is $\\boxed{16}$."}, "What is $8+8$?", "16"),
    "solutions": ({"question": "What is $8+8$?", "solution": "It is $\\boxed{16}$."}, "What is $8+8$?", "16"),
    "MMMLU": (
        {"Question": STEM, "A": "ice", "B": "fog", "C": "rain", "Answer": "A", "Subject": "physics"},
        f"{STEM}\n\n{CHOICES}",
        "A",
    ),
    "AQuA": (
        {"question": STEM, "options": ["A)ice", "B)fog", "C)rain"], "rationale": "It melts.", "correct": "A"},
        f"{STEM}\n\n{CHOICES}",
        "A",
    ),
    "MathQA": (
        {"Problem": STEM, "Rationale": "...", "options": "a ) ice , b ) fog , c ) rain", "correct": "a"},
        f"{STEM}\n\n{CHOICES}",
        "A",
    ),
    "ARC, CommonsenseQA": (
        {"question": STEM, "choices": {"text": ["ice", "fog", "rain"], "label": ["1", "2", "3"]}, "answerKey": "1"},
        f"{STEM}\n\n{CHOICES}",
        "A",
    ),
    "ARC, CommonsenseQA, OpenBookQA (JSON Lines)": (
        {"id": "x", "question": {"stem": STEM, "choices": LABELLED}, "answerKey": "C"},
        f"{STEM}\n\n{CHOICES}",
        "C",
    ),
    "OpenBookQA": (
        {
            "question_stem": STEM,
            "choices": {"text": ["ice", "fog", "rain"], "label": ["A", "B", "C"]},
            "answerKey": "B",
        },
        f"{STEM}\n\n{CHOICES}",
        "B",
    ),
    "ReClor": (
        {"context": "It is cold.", "question": STEM, "answers": ["ice", "fog", "rain"], "label": 2},
        f"It is cold. {STEM}\n\n{CHOICES}",
        "C",
    ),
    "LogiQA": (
        {"context": "It is cold.", "query": STEM, "options": ["ice", "fog", "rain"], "correct_option": 1},
        f"It is cold. {STEM}\n\n{CHOICES}",
        "B",
    ),
    "TruthfulQA-MC": (
        {"question": STEM, "choices": ["ice", "fog", "rain"], "label": 0},
        f"{STEM}\n\n{CHOICES}",
        "A",
    ),
    "Calc-X": ({"question": "How many?", "chain": "...", "result": "1/2", "result_float": 0.5}, "How many?", "1/2"),
}


def read(path: Path, *rows: dict[str, object], **fields: str) -> list[Problem]:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return [problem for problem, _ in read_problems(str(path), **fields)]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.about)
def test_every_form_is_read_and_described(tmp_path: Path, form: Form) -> None:
    row, question, answer = EXAMPLES[form.about]
    assert form_of(row, DEFAULT) == form
    problem = read(tmp_path / "a.jsonl", row)[0]
    assert (problem.question, problem.answer) == (question, answer)
    manual = (ROOT / "docs/manual.md").read_text("utf-8").splitlines()
    line = next(line for line in manual if line.startswith(f"| {form.about} | "))
    named = "+".join((form.question, form.answer, form.choices, form.numbers)).replace(".", "+").split("+")
    assert all(f"`{name}`" in line for name in named if name)


@pytest.mark.parametrize("form", [form for form in FORMS if "." not in form.question], ids=lambda form: form.about)
def test_every_form_is_read_from_parquet(tmp_path: Path, form: Form) -> None:
    row, question, answer = EXAMPLES[form.about]
    pd.DataFrame([row]).to_parquet(tmp_path / "a.parquet")
    problem = read_problems(str(tmp_path / "a.parquet"))[0].problem
    assert (problem.question, problem.answer) == (question, answer)


def test_sixteen_point_zero_is_sixteen() -> None:
    assert equivalent("16.0", "16")


MULTIPLE_CHOICE = [
    {"options": ["ice", "fog", "rain"], "answer": "B", "answer_index": 1},
    {"options": {"A": "ice", "B": "fog", "C": "rain"}, "answer": "fog", "answer_idx": "B"},
    {"options": {"A": "ice", "B": "fog", "C": "rain", "D": None}, "answer": "fog"},
    {"choices": ["(A) ice", "(B) fog", "(C) rain"], "answer": "(B) fog"},
    {"choices": ["a. ice", "b. fog", "c. rain"], "answer": "(b)"},
    {"choices": "A) ice\nB) fog\nC) rain", "answer": "B"},
    {"a": "ice", "b": "fog", "c": "rain", "answer": "b"},
    {"a": "ice", "b": "fog", "c": "rain", "answer": "fog"},
    {"A": "ice", "B": "fog", "C": "rain", "D": "", "answer": "B"},
    {"option_a": "ice", "option_b": "fog", "option_c": "rain", "answer": "b"},
    {"Option A": "ice", "Option B": "fog", "Option C": "rain", "answer": "B"},
    {"option1": "ice", "option2": "fog", "option3": "rain", "answer": "2"},
    {"option1": "ice", "option2": "fog", "option3": "rain", "answer": 2},
    {"option-0": "ice", "option-1": "fog", "option-2": "rain", "answer": 1},
    {"choice_A": "ice", "choice_B": "fog", "choice_C": "rain", "answer": "B"},
    {"opa": "ice", "opb": "fog", "opc": "rain", "opd": None, "answer": "b"},
    {"choices": LABELLED, "answer": "B"},
]


@pytest.mark.parametrize("row", MULTIPLE_CHOICE, ids=lambda row: "-".join(row))
def test_choices_in_every_form(tmp_path: Path, row: dict[str, object]) -> None:
    problem = read(tmp_path / "a.jsonl", {"question": STEM, **row})[0]
    assert (problem.question, problem.answer) == (f"{STEM}\n\n{CHOICES}", "B")


@pytest.mark.parametrize("field", ["Answers offered", "first + second+third"])
def test_choices_in_fields_that_the_config_names(tmp_path: Path, field: str) -> None:
    words = ["ice", "fog", "rain"]
    row: dict[str, object] = {"question": STEM, "Answers offered": words, "answer": "B"}
    row |= dict(zip(("first", "second", "third"), words, strict=True))
    assert read(tmp_path / "a.jsonl", row, choices_field=field)[0].question == f"{STEM}\n\n{CHOICES}"
    with pytest.raises(
        ProblemFileError, match=r":1: no field 'other'; there are: 'question', .*Set problems.choices_field to"
    ):
        read(tmp_path / "a.jsonl", row, choices_field="other")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (
            {"answer": "B"},
            r"'answer' is 'B', a choice, but the row has no choices; there are: 'question', 'answer'\. Set",
        ),
        ({"answer": "(C)"}, r"'answer' is '\(C\)', a choice"),
        ({"correct": "B", "answer": "B", "options": []}, "'answer' is 'B', a choice"),
        ({"answerKey": "1", "choices": None}, "'answerKey' is '1', a choice, but the row has no choices"),
        ({"answer": "fog", "distractor1": "ice", "distractor2": "rain"}, "'distractor1', 'distractor2' looks like"),
        ({"answer": "fog", "Incorrect Answer 1": "ice"}, "'Incorrect Answer 1' looks like choices"),
        ({"answer": "fog", "option_b": "ice"}, "'option_b' looks like choices, but they are in no form that is read"),
        (
            {"answer": "fog", "options": "ice or fog"},
            "'options' is text in no form of choices that is read; give a list",
        ),
        ({"answer": "A", "options": "A) ice B) fog"}, "'options' is text in no form"),
        ({"answer": 1, "choices": 4}, "'choices' is text in no form"),
        ({"answer": "A", "mc1_targets": {"choices": ["x", "y"], "labels": [1, 0]}}, "'mc1_targets' looks like choices"),
        ({"answer": "A", "choices": {"texts": ["x", "y"]}}, "'choices' is an object in no form"),
        ({"answer": "A", "choices": {"text": ["x", "y"], "label": ["A"]}}, "'choices' has 2 choices and the labels"),
        ({"answer": "(A) y", "choices": ["x", "y"]}, r"'answer' is '\(A\) y', which is none of 2 choices"),
        ({"answer": "A", "choices": {"text": ["x", "y"], "label": ["A", "A"]}}, "give each its own label"),
        (
            {"answer": "D", "choices": {"text": ["x", "y"], "label": ["A", "B"]}},
            r"none of 2 choices; give a label \(A, B\)",
        ),
        (
            {"answer": 0, "choices": {"text": ["x", "y"], "label": ["1", "2"]}},
            r"none of 2 choices; give a label \(1, 2\)",
        ),
        (
            {"answer": "A", "choices": [{"text": "x", "label": "A"}, {"label": "B"}]},
            "a choice in 'choices' has 'label'; each must",
        ),
        (
            {"answer": "x", "choices": [{"value": "x", "key": "1"}, {"value": "y", "key": "2"}]},
            "a choice in 'choices' has 'value', 'key'; each must have 'text' and 'label'",
        ),
        ({"answer": "A", "A": "ice", "B": None, "C": "fog"}, "a choice is null"),
        ({"answer": "A", "A": "ice", "B": "fog", "D": "rain"}, "a choice in 'D', but the one before it is missing"),
        ({"answer": "A", **dict.fromkeys("ABCDEFGHIJK", "x")}, "11 choices; a problem has 2 to 10"),
        ({"answer": "A", "options": ", ".join(f"{letter}) x" for letter in "abcdefghijk")}, "11 choices"),
    ],
)
def test_a_question_is_never_asked_without_its_choices(tmp_path: Path, row: dict[str, object], fault: str) -> None:
    with pytest.raises(ProblemFileError, match=rf"a\.jsonl:1: .*{fault}"):
        read(tmp_path / "a.jsonl", {"question": STEM, **row})


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Is it A or B?", "answer": "B"},
        {"question": "Which is a solid? (a) fog (b) ice", "answer": "B"},
        {"question": "Which letter is the third?", "answer": "\\boxed{C}"},
        {"problem": "Which point is it?", "answer": "B"},
        {"question": "What is 3 + 4?", "a": 3, "b": 4, "c": 7, "answer": 7},
        {"question": "Who is right?", "answer": "Bob"},
        {"question": "Which blood type?", "answer": "AB", "options": [], "choices": None, "choice_type": "single"},
    ],
)
def test_a_question_without_choices_stays_as_it_is(tmp_path: Path, row: dict[str, object]) -> None:
    assert read(tmp_path / "a.jsonl", row)[0].question == row.get("question", row.get("problem"))


@pytest.mark.parametrize(
    ("about", "change", "fault"),
    [
        (
            "MAWPS, MultiArith, AddSub, SingleEq",
            {"lSolutions": [1, 2]},
            "'lSolutions' has 2 answers; a problem has one",
        ),
        ("MAWPS, MultiArith, AddSub, SingleEq", {"lSolutions": []}, "'lSolutions' has 0 answers"),
        ("MAWPS (Hugging Face), SVAMP (CSV)", {"Numbers": "8"}, "the question has N_01, but 'Numbers' has 1 numbers"),
        ("SVAMP, ASDiv-A", {"Body": "", "Question": " "}, "'Body' is blank"),
        ("SVAMP, ASDiv-A", {"Body": ["x"]}, "'Body' is a list; the question must be text or a number"),
        ("SVAMP, ASDiv-A", {"Answer": None}, "'Answer' is blank"),
        ("AQuA", {"correct": "D"}, "'correct' is 'D', which is none of 3 choices; give a letter from A to C"),
        ("MATH", {"solution": "It is 16."}, r"'solution' has no answer in \\boxed"),
        ("OpenBookQA", {"answerKey": ""}, "'answerKey' is blank"),
    ],
)
def test_faults_of_published_forms(tmp_path: Path, about: str, change: dict[str, object], fault: str) -> None:
    with pytest.raises(ProblemFileError, match=rf"a\.jsonl:1: {fault}"):
        read(tmp_path / "a.jsonl", {**EXAMPLES[about][0], **change})


@pytest.mark.parametrize(
    ("answer", "read_as"),
    [
        ("9 (apples)", "9"),
        ("1/2 (square cm)", "1/2"),
        ("9", "9"),
        ("(apples)", "(apples)"),
        ("5 (boys); 3 (girls)", "5 (boys); 3 (girls)"),
        ("f(2)", "f(2)"),
    ],
)
def test_the_unit_of_an_answer_is_left_out(tmp_path: Path, answer: str, read_as: str) -> None:
    row = {"body": "Some fell.", "question": "How many?", "answer": answer}
    assert read(tmp_path / "a.jsonl", row)[0].answer == read_as


def test_the_config_may_join_fields(tmp_path: Path) -> None:
    row = {"story": "A pack has 8 pens.", "ask": {"text": "How many are in 2?"}, "result": "16 (pens)"}
    problem = read(tmp_path / "a.jsonl", row, question_field="story + ask.text", answer_field="result")[0]
    assert (problem.question, problem.answer) == ("A pack has 8 pens. How many are in 2?", "16 (pens)")
    with pytest.raises(
        ProblemFileError, match=r":1: no field 'Story'; there are: .*, the nearest 'story'\. Set problems.question_f"
    ):
        read(tmp_path / "a.jsonl", row, question_field="Story+ask.text", answer_field="result")
    # A field whose own name has a plus sign or a dot is that field.
    odd = {"x+y": "What is 1+1?", "x": "wrong", "y": "wrong", "the.answer": 2}
    problem = read(tmp_path / "a.jsonl", odd, question_field="x+y", answer_field="the.answer")[0]
    assert (problem.question, problem.answer) == ("What is 1+1?", "2")


def test_a_name_of_the_config_replaces_that_of_a_form() -> None:
    row, _, _ = EXAMPLES["ASDiv"]
    assert form_of(row, Fields(question="body+question")).unit
    assert not form_of({**row, "prompt": "How many?"}, Fields(question="prompt")).unit
    assert form_of({**row, "gold": "16"}, Fields(answer="gold")).question == "body+question"
    assert form_of({"problem": "1+1?", "gold": "2"}, Fields(answer="gold")).question == "problem"


def test_measurement_and_transfer_have_the_same_fields(tmp_path: Path) -> None:
    row = {"story": "It is cold.", "ask": STEM, "said": ["ice", "fog", "rain"], "gold": "A"}
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(each) for each in (row, row)), encoding="utf-8")
    fields = {"question_field": "story+ask", "answer_field": "gold", "choices_field": "said", "duplicates": "drop"}
    expected = [(f"It is cold. {STEM}\n\n{CHOICES}", "A")]
    measured = Measurement.model_validate({"problems": str(path), **fields})
    transferred = Transfer.model_validate({"source": str(path), **fields})
    for problems in (load_held_out(measured.held_out, 1), load_transfer(transferred, Problems(), 1)):
        assert [(problem.question, problem.answer) for problem in problems] == expected


@pytest.mark.parametrize("piece", ["\n", " ", ", ", "A) x, ", "a ) ", "(", "A B ", "N_00 ", "(a) "])
def test_a_long_row_is_read_or_refused_quickly(tmp_path: Path, piece: str) -> None:
    long = f"x{piece * 50_000}x"
    start = time.process_time()
    for row in (
        {"question": STEM, "options": long, "answer": "A"},
        {"question": STEM, "options": ["x", "y"], "answer": long},
        {"Question": long, "Numbers": long, "Answer": "1"},
        {"body": long, "question": STEM, "answer": long},
        {"question": long, "answer": "B"},
    ):
        with pytest.raises(ProblemFileError):
            read(tmp_path / "a.jsonl", row)
    assert time.process_time() - start < 3.0
