"""From the tokens of a response to its text.

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
    if CHANNEL in tokenizer.all_special_tokens:
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


def without_thought(response: str) -> str:
    """What such a text says after its thought."""
    found = _THOUGHT.match(response)
    return found["answer"] if found else response
