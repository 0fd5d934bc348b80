"""Formats of the messages between agents: how the summariser is asked, and what a critic reads of its answer.

A format is an object under a name; the docstring of its class is what the config says of it.
"""

from typing import Protocol

from agents.debate import prompts
from agents.debate.messages import message_of, read_message
from agents.engines.chat import Message
from evaluation.registry import Registry


class Format(Protocol):
    """How messages between agents are written."""

    def ask(self, question: str, responses: list[str]) -> Message:
        """What the summariser is asked."""
        ...

    def read(self, summary: str, responses: list[str]) -> tuple[str, bool | None]:
        """What a critic reads of its answer, and whether that is a fallback; None where every answer will do."""
        ...

    def listed(self, responses: list[str]) -> str:
        """What a critic reads where nothing is summarised."""
        ...


FORMATS: Registry[Format] = Registry("message format")


class Prose:
    """prose (paper)"""

    def ask(self, question: str, responses: list[str]) -> Message:
        """For a summary."""
        return prompts.summarise(question, responses)

    def read(self, summary: str, responses: list[str]) -> tuple[str, bool | None]:
        """The summary as it is."""
        return summary, None

    def listed(self, responses: list[str]) -> str:
        """The very words, numbered."""
        return prompts.listed(responses)


class Json:
    """each agent's answer and steps, asked of the summariser as JSON. Where what it writes is not valid, the message is
    built from the responses, which is counted"""

    def ask(self, question: str, responses: list[str]) -> Message:
        """For a message."""
        return prompts.summarise_as_json(question, responses)

    def read(self, summary: str, responses: list[str]) -> tuple[str, bool | None]:
        """The message, written anew from its validated values; one that is not valid is built from the responses."""
        message = read_message(summary, len(responses))
        return (message or message_of(responses)).model_dump_json(), message is None

    def listed(self, responses: list[str]) -> str:
        """The message that is built from the responses."""
        return message_of(responses).model_dump_json()


FORMATS.add("text")(Prose())
FORMATS.add("json")(Json())
