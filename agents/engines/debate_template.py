"""Whether a chat template can hold a debate: a question, an answer, and a further question after it."""

from typing import Any

from agents.engines.base_model import BaseModelError
from agents.engines.chat import Message, prompt_text

TURNS: list[Message] = [
    {"role": "user", "content": "What is one and one?"},
    {"role": "assistant", "content": "It is two."},
    {"role": "user", "content": "Others say three. What do you say?"},
]


def check_debate(tokenizer: Any, base_model: str) -> None:
    """Refuse a chat template that rejects a second question, or leaves out or reorders what was said.

    Raises:
        BaseModelError: the message names the base model and what is wrong.
    """
    # Imported here, since a job served from cache needs no template.
    from jinja2 import TemplateError

    try:
        text = prompt_text(tokenizer, TURNS)
    except TemplateError as error:
        raise _refused(base_model, f"refuses it ({' '.join(str(error).split())[:200]})") from error
    start = 0
    for turn in TURNS:
        place = text.find(turn["content"], start)
        if place < 0:
            raise _refused(base_model, f"leaves out or moves what the {turn['role']} says")
        start = place + len(turn["content"])


def _refused(name: str, why: str) -> BaseModelError:
    return BaseModelError(
        f"base_model: the chat template of {name!r} cannot hold a debate, a question after an answer: it {why}; use an "
        "instruct model whose template takes several turns"
    )
