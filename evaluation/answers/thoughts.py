"""Separates what a model says from what it thinks before, as models that reason write it.

<think>It may be 4.</think> It is 5.     ->  It is 5.
It may be 4.</think> It is 5.            ->  It is 5.      the template of the prompt has opened the thought
<think>It may be 4. Or                   ->                the response was cut while the model thought
"""

import re

_TAGS = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection")
_OPEN = re.compile(rf"<(?:{'|'.join(_TAGS)})>|\[THINK\]|\u25c1think\u25b7|<\|begin_of_thought\|>", re.IGNORECASE)
_CLOSE = re.compile(rf"</(?:{'|'.join(_TAGS)})>|\[/THINK\]|\u25c1/think\u25b7|<\|end_of_thought\|>", re.IGNORECASE)


def is_mark(token: str) -> bool:
    """Whether a token opens or closes a thought."""
    return bool(_OPEN.fullmatch(token) or _CLOSE.fullmatch(token))


def spoken(text: str) -> str:
    """The response without its thoughts; empty if it is nothing but thought."""
    closed = 0
    for close in _CLOSE.finditer(text):
        closed = close.end()
    rest = text[closed:]
    reopened = _OPEN.search(rest)
    # The answer within a thought that is not closed was never given.
    return rest[: reopened.start()] if reopened else rest
