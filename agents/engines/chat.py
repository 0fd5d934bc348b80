"""From a conversation to the token ids that the model reads: the one place, so training and inference cannot differ."""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict


class Message(TypedDict):
    """One turn, in the form that chat templates take."""

    role: Literal["system", "user", "assistant"]
    content: str


def prompt_ids(tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> list[list[int]]:
    """Token ids of each conversation in the chat template, up to where the assistant's next turn begins."""
    if not conversations:
        return []
    texts = [
        tokenizer.apply_chat_template([*messages], tokenize=False, add_generation_prompt=True)
        for messages in conversations
    ]
    # The template has written its own special tokens.
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return ids
