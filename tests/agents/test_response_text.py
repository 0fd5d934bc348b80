"""Thoughts stay thoughts when tokens become text, also if their marks are special tokens."""

import pytest

from agents.engines.chat import Message, prompt_text
from agents.engines.response_text import response_texts, turn_text
from agents.training.examples import encode
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


@pytest.mark.parametrize("said", [THOUGHT + ANSWER, ANSWER, THOUGHT.removesuffix("<|end|><|start|>assistant")])
def test_a_turn_with_channels_is_learned_as_it_was_written(said: str) -> None:
    (text,) = response_texts(HARMONY, [HARMONY(said, add_special_tokens=False)["input_ids"]])
    assert turn_text(HARMONY, text) == said
    question: Message = {"role": "user", "content": "2 + 3?"}
    (example,) = encode([[question, {"role": "assistant", "content": text}]], HARMONY)
    assert HARMONY.decode(example.prompt) == "<|start|>user<|message|>2 + 3?<|end|><|start|>assistant"
    assert HARMONY.decode(example.target) == f"{said}<|return|>"


def test_thoughts_of_earlier_turns_are_left_out_of_a_template_with_channels() -> None:
    turns: list[Message] = [
        {"role": "user", "content": "2 + 3?"},
        {"role": "assistant", "content": "<think>Or 4?</think>5"},
        {"role": "user", "content": "Sure?"},
    ]
    text = prompt_text(HARMONY, turns)
    assert "Or 4?" not in text and "<|channel|>final<|message|>5<|end|>" in text


@pytest.mark.parametrize("template", [templates.CHATML, templates.GEMMA])
def test_other_models_learn_their_text_as_it_is(template: templates.Template) -> None:
    assert turn_text(tokenizer_of(template), "<think>a</think>b") == "<think>a</think>b"
