"""From the tokens of a response to its text, and back.

Special tokens are left out, with two exceptions, so that a thought is known as a thought. Marks of thoughts that are
special tokens stay (Magistral's `[THINK]`). And gpt-oss writes its thoughts and its answer as messages of one turn,
each in a channel (https://cookbook.openai.com/articles/openai-harmony); here they become one text, in which the thought
stands between `<think>` and `</think>`, as most models write it.
"""

import re
from collections.abc import Sequence
from typing import Any

from evaluation.answers.thoughts import is_mark

CHANNEL = "<|channel|>"
_MESSAGE = re.compile(
    r"<\|channel\|>\s*(?P<channel>\w+)(?:(?!<\|message\|>).)*<\|message\|>(?P<text>.*?)"
    r"(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.DOTALL,
)
_THOUGHT = re.compile(r"<think>(?P<thought>.*?)(?:</think>|\Z)(?P<answer>.*)", re.DOTALL)


def response_texts(tokenizer: Any, responses: Sequence[Sequence[int]]) -> list[str]:
    """The text of each response, without white space around it.

    Args:
        tokenizer: the tokenizer of the model that responded.
        responses: token ids, without the token that ends the turn.
    """
    if _has_channels(tokenizer):
        return [_of_channels(tokenizer, ids) for ids in responses]
    marks = {i for t, i in zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True) if is_mark(t)}
    if marks:
        hidden = set(tokenizer.all_special_ids) - marks
        shown = [[token for token in ids if token not in hidden] for ids in responses]
        return [text.strip() for text in tokenizer.batch_decode(shown, skip_special_tokens=False)]
    return [text.strip() for text in tokenizer.batch_decode(responses, skip_special_tokens=True)]


def _of_channels(tokenizer: Any, ids: Sequence[int]) -> str:
    """All channels but the final one are thought; a thought that no answer follows is not closed."""
    messages = [
        (each["channel"], each["text"].strip())
        for each in _MESSAGE.finditer(tokenizer.decode(ids, skip_special_tokens=False))
    ]
    if not messages:
        return str(tokenizer.decode(ids, skip_special_tokens=True)).strip()
    thought = "\n".join(text for channel, text in messages if channel != "final")
    answers = [text for channel, text in messages if channel == "final"]
    if not thought:
        return answers[-1]
    return f"<think>{thought}</think>{answers[-1]}" if answers else f"<think>{thought}"


def turn_text(tokenizer: Any, response: str) -> str:
    """A response as the model writes it after the prompt, with its channels if it has some; without the turn's end."""
    if not _has_channels(tokenizer):
        return response
    thought, answer = _parts(response)
    if not thought:
        return f"{CHANNEL}final<|message|>{answer}"
    said = f"{CHANNEL}analysis<|message|>{thought}"
    return f"{said}<|end|><|start|>assistant{CHANNEL}final<|message|>{answer}" if answer else said


def earlier_turn(tokenizer: Any, response: str) -> str:
    """A response as the chat template takes an earlier turn; one with channels takes it without its thought."""
    return _parts(response)[1] if _has_channels(tokenizer) else response


def _has_channels(tokenizer: Any) -> bool:
    return CHANNEL in str(tokenizer.chat_template)


def _parts(response: str) -> tuple[str, str]:
    """The thought and the answer of a response; either may be empty."""
    found = _THOUGHT.match(response)
    return (found["thought"], found["answer"]) if found else ("", response)
