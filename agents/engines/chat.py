"""Turns conversations into token ids for both training and inference, so that the two cannot differ."""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict


class Message(TypedDict):
    """One turn, in the form that chat templates take."""

    role: Literal["system", "user", "assistant"]
    content: str


SILENCE = "(no answer)"
"""Stands for an assistant turn without a word in a chat template that refuses an empty one, such as Mistral's."""


def prompt_text(tokenizer: Any, messages: Sequence[Message]) -> str:
    """A conversation in the chat template, up to the start of the assistant's next turn.

    Raises:
        jinja2.TemplateError: the template refuses the conversation.
    """
    from jinja2 import TemplateError

    try:
        text: str = tokenizer.apply_chat_template([*messages], tokenize=False, add_generation_prompt=True)
    except TemplateError:
        spoken: list[Message] = [
            {**message, "content": SILENCE} if message["role"] == "assistant" and not message["content"] else message
            for message in messages
        ]
        if spoken == [*messages]:
            raise
        text = tokenizer.apply_chat_template(spoken, tokenize=False, add_generation_prompt=True)
    return text


def prompt_ids(tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> list[list[int]]:
    """Token ids of each conversation in the chat template, up to the start of the assistant's next turn."""
    if not conversations:
        return []
    texts = [prompt_text(tokenizer, messages) for messages in conversations]
    # The text from the template already has the special tokens.
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return ids
