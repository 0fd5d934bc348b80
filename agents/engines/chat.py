"""Turns conversations into token ids for both training and inference, so that the two cannot differ."""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict


class Message(TypedDict):
    """One turn, in the form that chat templates take."""

    role: Literal["system", "user", "assistant"]
    content: str


def prompt_ids(tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> list[list[int]]:
    """Token ids of each conversation in the chat template, up to the start of the assistant's next turn."""
    if not conversations:
        return []
    texts = [
        tokenizer.apply_chat_template([*messages], tokenize=False, add_generation_prompt=True)
        for messages in conversations
    ]
    # The text from the template already has the special tokens.
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return ids
