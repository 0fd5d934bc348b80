"""Thoughts stay thoughts when tokens become text, also if their marks are special tokens."""

import pytest

from agents.engines.response_text import response_texts, without_thought
from tests.families import templates
from tests.families.tokenizer import tokenizer_of

HARMONY = tokenizer_of(templates.HARMONY)
THOUGHT = "<|channel|>analysis<|message|>It may be 4.<|end|><|start|>assistant"
ANSWER = r"<|channel|>final<|message|>It is \boxed{5}."


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (THOUGHT + ANSWER, r"<think>It may be 4.</think>It is \boxed{5}."),
        (ANSWER, r"It is \boxed{5}."),
        (THOUGHT, "<think>It may be 4."),
        ("<|channel|>analysis<|message|>It may be", "<think>It may be"),
        (THOUGHT + "<|channel|>commentary to=x<|message|>a<|end|><|start|>assistant" + ANSWER,
         "<think>It may be 4.\na</think>" + r"It is \boxed{5}."),
        (r"It is \boxed{5}.", r"It is \boxed{5}."),
        ("", ""),
    ],
)  # fmt: skip
def test_channels_become_one_text(said: str, text: str) -> None:
    assert response_texts(HARMONY, [HARMONY(said, add_special_tokens=False)["input_ids"]]) == [text]


def test_marks_of_thoughts_that_are_special_tokens_stay() -> None:
    marked = tokenizer_of(templates.Template("", ("</s>", "<s>", "[INST]", "[THINK]", "[/THINK]")))
    ids = marked("<s>[THINK]Or 4?[/THINK]It is 5.[INST]", add_special_tokens=False)["input_ids"]
    assert response_texts(marked, [ids, []]) == ["[THINK]Or 4?[/THINK]It is 5.", ""]


def test_other_special_tokens_are_left_out() -> None:
    plain = tokenizer_of(templates.CHATML)
    ids = plain(" It is <|im_start|>5.\n", add_special_tokens=False)["input_ids"]
    assert response_texts(plain, [ids]) == ["It is 5."]


@pytest.mark.parametrize(
    ("text", "answer"), [("<think>a</think>b", "b"), ("<think>a", ""), ("b", "b"), ("<think>a\nc</think>\nb", "\nb")]
)
def test_without_thought(text: str, answer: str) -> None:
    assert without_thought(text) == answer
