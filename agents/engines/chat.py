"""Turns conversations into token ids for both training and inference, so that the two cannot differ."""

import re
from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from agents.engines.response_text import earlier_turn

ASKED, SAID = "porcupine", "marmalade"
"""Plain words that no chat template contains or changes."""


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

    told: list[Message] = [
        {**m, "content": earlier_turn(tokenizer, m["content"])} if m["role"] == "assistant" else m for m in messages
    ]
    try:
        text: str = tokenizer.apply_chat_template(told, tokenize=False, add_generation_prompt=True)
    except TemplateError:
        spoken: list[Message] = [
            {**m, "content": SILENCE} if m["role"] == "assistant" and not m["content"] else m for m in told
        ]
        if spoken == told:
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


def turn_end(tokenizer: Any) -> str:
    """The text that ends a turn of the assistant in the chat template, up to and including its first special token.

    It is what an agent learns to end its turn with. What a template writes after this token, such as a line break or
    the end of the whole text, is not part of it. If a template writes no token after a turn, it is the tokenizer's
    `eos_token`, or nothing if that is unset too.
    """
    user, assistant = Message(role="user", content=ASKED), Message(role="assistant", content=SAID)
    rest = _rendered(tokenizer, [user, assistant]).rpartition(SAID)[2]
    ends = _special_tokens(tokenizer, rest)
    if not ends:
        # Some templates refuse a last turn of the assistant, or write the end of a turn only before the next one.
        opening, _, rest = _rendered(tokenizer, [user, assistant, user]).partition(ASKED)
        rest = rest.partition(SAID)[2].rpartition(ASKED)[0]
        ends = _special_tokens(tokenizer, rest)
        if len(ends) == 1 and ends[0].group() in opening:
            ends = []  # This token only begins the user's turn.
    return rest[: ends[0].end()] if ends else tokenizer.eos_token or ""


def turn_end_ids(tokenizer: Any) -> list[int]:
    """The token that ends a turn in the chat template, at which decoding stops; empty if there is none."""
    ids: list[int] = tokenizer(turn_end(tokenizer), add_special_tokens=False)["input_ids"]
    return ids[-1:]


def _rendered(tokenizer: Any, conversation: list[Message]) -> str:
    """The conversation in the chat template; empty if the template refuses it or changes the assistant's word."""
    from jinja2 import TemplateError

    try:
        text = str(tokenizer.apply_chat_template(conversation, tokenize=False))
    except TemplateError:
        return ""
    return text if SAID in text else ""


def _special_tokens(tokenizer: Any, text: str) -> list[re.Match[str]]:
    """Where a text has special or added tokens, in order."""
    # Tokenizers may also have added tokens for line breaks and runs of spaces, which end nothing.
    tokens = [token for token in {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()} if token.strip()]
    pattern = "|".join(map(re.escape, sorted(tokens, key=len, reverse=True)))
    return list(re.finditer(pattern, text)) if tokens else []
