"""The kinds of answers other than mathematics. Run: pytest tests/evaluation/test_kinds.py"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents.ask import Card
from evaluation.answers.grader import GRADERS, Grader, grader_of
from evaluation.answers.kinds.math import MATH
from evaluation.answers.vote import tally, unanimous
from evaluation.problems.problem import Located, Problem, ProblemFileError, check_references

ORDER = {
    "type": "object",
    "required": ["item", "quantity"],
    "properties": {"item": {"type": "string"}, "quantity": {"type": "integer", "minimum": 1}},
}


def grader(kind: str, **fields: Any) -> Grader:
    made = grader_of({"kind": kind, **fields})
    assert isinstance(made, Grader)
    return made


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("number", "So \\boxed{12}", "12"),
        ("number", "The answer is that 12 remain.", "12"),
        ("number", "The answer is 12 or 13.", None),
        ("number", "\\boxed{x+1}", None),
        ("number", "\\boxed{\\sqrt{2}}", "\\sqrt{2}"),
        ("number", "I counted 12.", "12"),
        ("number", "First 5*2 = 10. So 5+5*2 = 15.", "15"),
        ("number", "There are 3 boys and 4 girls.", None),
        ("number", "<think>It is 12.</think>", None),
        ("choice", "So \\boxed{(B)}", "B"),
        ("choice", "The answer is B, since cells divide.", "B"),
        ("choice", "Answer: 12", None),
        ("choice", "The answer is A or B.", None),
        ("text", "Answer: The Eiffel Tower.", "The Eiffel Tower"),
        ("text", "the Eiffel Tower", "the Eiffel Tower"),
        ("text", "I think so.\nIt may be in Paris.", None),
        ("text", "<think>Rome?</think>Paris", "Paris"),
    ],
)
def test_what_is_found(kind: str, text: str, answer: str | None) -> None:
    assert grader(kind).extract(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Answer: Billing", "billing"),
        ("Answer: **late delivery**.", "Late delivery"),
        ("It is about billing, I would say.", "billing"),
        ("First: other. No:\nthis is about Late Delivery", "Late delivery"),
        ("It is billing or other.", None),
        ("Answer: rebilling", None),
        ("<think>other</think> billing", "billing"),
        ("", None),
    ],
)
def test_labels_of_ones_own(text: str, answer: str | None) -> None:
    assert grader("choice", labels=["billing", "Late delivery", "other"]).extract(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"quantity": 3.0, "item": "mug"}', '{"item":"mug","quantity":3}'),
        ('Sure:\n```json\n{"item": "mug",\n "quantity": 3}\n```\nDone.', '{"item":"mug","quantity":3}'),
        ('{"item": "cup", "quantity": 1} or rather {"item": "mug", "quantity": 3}', '{"item":"mug","quantity":3}'),
        ('{"item": "mug", "quantity": 3} {"note": "done"}', '{"item":"mug","quantity":3}'),
        ('{"item": "mug", "quantity": 0}', None),
        ('{"item": "mug", "quantity": 3', None),
        ('<think>{"item": "mug", "quantity": 3}', None),
        ('{"item": "mug", "quantity": NaN}', None),
        ("[" * 100_000, None),
        ('{"item":' * 5_000, None),
    ],
)
def test_json_that_fits_the_schema(text: str, answer: str | None) -> None:
    assert grader("json", json_schema=ORDER).extract(text) == answer


@pytest.mark.parametrize(
    ("kind", "a", "b", "same"),
    [
        ("number", "1,200", "$1200.00", True),
        ("number", "1/3", "0.333333", True),
        ("number", "12", "13", False),
        ("choice", "b", "B", True),
        ("choice", "A", "B", False),
        ("text", "The Eiffel tower!", "eiffel tower", True),
        ("text", "Eiffel", "Eiffel tower", False),
        ("text", "the", "The", True),
        ("json", '{"a": 1.50, "b": [1, 2]}', '{"b":[1,2],"a":1.5}', True),
        ("json", '{"b":[1,2]}', '{"b":[2,1]}', False),
        ("json", '{"b":"x"}', '{"b":"X"}', False),
    ],
)
def test_what_is_the_same(kind: str, a: str, b: str, same: bool) -> None:
    each = grader(kind)
    assert each.equivalent(a, b) == each.equivalent(b, a) == same
    assert each.equivalent(a, a) and not each.equivalent(None, a) and not each.equivalent(None, None)


@given(
    st.sampled_from([name for name in GRADERS.names() if name != "custom"]), st.text(max_size=60), st.text(max_size=60)
)
def test_any_kind_takes_any_text(kind: str, a: str, b: str) -> None:
    each = grader(kind)
    assert each.equivalent(a, a) and each.equivalent(a, b) == each.equivalent(b, a)
    found = each.extract(a)
    assert found is None or each.equivalent(found, found)


def test_a_vote_by_the_kind_of_answer() -> None:
    answers = ["the mug", "Mug", "a cup"]
    assert tally(answers, seed=1, grader=grader("text")).votes == 2
    assert tally(answers, seed=1).votes == 1
    assert unanimous(answers[:2], grader=grader("text")) and not unanimous(answers[:2])


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"kind": "poem"}, "no kind of answer 'poem'; there are: choice, custom, json, math, number, text"),
        ({"kind": "choice", "labels": ["Yes", "yes!"]}, "'Yes' and 'yes!' are the same but for case"),
        ({"kind": "choice", "labels": ["yes"]}, "at least 2 items"),
        ({"kind": "json", "json_schema": {"type": "thing"}}, "not a JSON schema: 'thing' is not valid"),
        ({"kind": "custom", "grader": "no_such:Class"}, "no_such cannot be imported .* PYTHONPATH"),
        ({"kind": "custom", "grader": "json:Nothing"}, "the module json has no class Nothing"),
        ({"kind": "custom", "grader": "json:JSONDecoder"}, "json:JSONDecoder has no method extract and equivalent"),
        ({"kind": "custom", "grader": "json.decoder"}, "needs MODULE:CLASS, such as my_graders:Parity"),
    ],
)
def test_faults_of_the_settings(fields: dict[str, Any], fault: str) -> None:
    with pytest.raises((ValueError, ValidationError), match=fault):
        grader_of(fields)


@pytest.mark.parametrize(
    ("fields", "reference", "fault"),
    [
        ({"kind": "number"}, "many", "it is no number"),
        ({"kind": "choice"}, "12", "it is none of the labels A, B, C"),
        ({"kind": "json", "json_schema": ORDER}, "mug", "it is not JSON"),
        (
            {"kind": "json", "json_schema": ORDER},
            '{"item": 3}',
            r"it does not fit answers.json_schema: 'quantity' is a required property at \$",
        ),
    ],
)
def test_references_of_another_kind_are_refused(fields: dict[str, Any], reference: str, fault: str) -> None:
    problems = [Located(Problem(question="How many?", answer=reference), "mine.jsonl:7")]
    with pytest.raises(
        ProblemFileError, match=f"^mine.jsonl:7: .*How many.*does not fit answers.kind {fields['kind']}: {fault}"
    ):
        check_references(problems, grader_of(fields))
    check_references(problems, grader("text"))


def test_nothing_that_a_schema_refers_to_is_fetched() -> None:
    each = grader("json", json_schema={"$ref": "http://127.0.0.1:9/schema.json"})
    assert each.extract('{"a": 1}') is None
    assert "which is not in it" in str(each.fault('{"a": 1}'))


@pytest.fixture
def parity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    file = tmp_path / "parity_grader.py"
    file.write_text(
        "class Parity:\n"
        "    def __init__(self, base=2):\n"
        "        self.base = base\n"
        "    def extract(self, text):\n"
        "        digits = ''.join(c for c in text if c.isdigit())\n"
        "        return digits or None\n"
        "    def equivalent(self, a, b):\n"
        "        return int(a) % self.base == int(b) % self.base\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield file
    sys.modules.pop("parity_grader", None)


def test_a_grader_of_ones_own(parity: Path) -> None:
    own = grader("custom", grader="parity_grader:Parity", options={"base": 3})
    assert own.extract("It is 7.") == "7" and own.extract("?") is None
    assert own.equivalent("7", "10") and not own.equivalent("7", "9") and own.fault("7") is None
    assert own.code() == [parity]
    assert tally(["1", "4", "2"], seed=1, grader=own).votes == 2
    with pytest.raises(ValueError, match="does not take the options"):
        grader("custom", grader="parity_grader:Parity", options={"bass": 3})


def test_a_card_keeps_its_grader(parity: Path) -> None:
    field = Card.model_fields["answers"]
    assert field.default == MATH
    for own in (grader("choice", labels=["x", "y"]), grader("custom", grader="parity_grader:Parity")):
        assert grader_of(json.loads(own.model_dump_json())) == own
