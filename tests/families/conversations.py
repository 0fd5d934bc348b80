"""Conversations of different lengths, for models with random weights."""

from agents.engines.chat import Message

QUESTIONS = ["What is 7 * 12?", "Hi", "A farmer has 17 sheep; all but 9 run away. How many are left?"]


def conversations() -> list[list[Message]]:
    """Four conversations, the last of which has an earlier answer."""
    asked: list[list[Message]] = [[{"role": "user", "content": question}] for question in QUESTIONS]
    return [*asked, [*asked[0], {"role": "assistant", "content": "It is 84."}, {"role": "user", "content": "Sure?"}]]
