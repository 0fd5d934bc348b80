"""Formats of the messages between agents: how the summariser is asked, and what a critic reads.

A format is an object that is registered under a name. The docstring of its class is its description in the config.
"""

from typing import Protocol

from agents.debate.messages import message_of, read_message
from agents.debate.prompts import Prompts
from agents.engines.chat import Message
from evaluation.answers.grader import Grader
from evaluation.registry import Registry


class Format(Protocol):
    """How messages between agents are written; a message has at least one response."""

    def ask(self, prompts: Prompts, question: str, responses: list[str]) -> Message:
        """The message to the summariser."""
        ...

    def read(self, summary: str, responses: list[str], grader: Grader) -> tuple[str, bool | None]:
        """The text that a critic reads, and whether it was built from the responses because the summary is not valid.

        The second value is None if every summary is valid in this format.
        """
        ...

    def listed(self, prompts: Prompts, responses: list[str], grader: Grader) -> str:
        """The text that a critic reads if responses are not summarised."""
        ...


FORMATS: Registry[Format] = Registry("message format")


class Prose:
    """prose (paper)"""

    def ask(self, prompts: Prompts, question: str, responses: list[str]) -> Message:
        """A request for a summary."""
        return prompts.summary_of(question, responses)

    def read(self, summary: str, responses: list[str], grader: Grader) -> tuple[str, bool | None]:
        """The summary, unchanged."""
        return summary, None

    def listed(self, prompts: Prompts, responses: list[str], grader: Grader) -> str:
        """The full responses, numbered."""
        return prompts.listed(responses)


class Json:
    """each agent's answer and steps as JSON, written by the summariser. If the JSON is not valid, the message is built
    from the responses instead, and counted"""

    def ask(self, prompts: Prompts, question: str, responses: list[str]) -> Message:
        """A request for a JSON message."""
        return prompts.json_summary_of(question, responses)

    def read(self, summary: str, responses: list[str], grader: Grader) -> tuple[str, bool | None]:
        """The message, rewritten from its validated values, or built from the responses if it is not valid."""
        message = read_message(summary, len(responses))
        return (message or message_of(responses, grader)).model_dump_json(), message is None

    def listed(self, prompts: Prompts, responses: list[str], grader: Grader) -> str:
        """A message built from the responses."""
        return message_of(responses, grader).model_dump_json()


FORMATS.add("text")(Prose())
FORMATS.add("json")(Json())
