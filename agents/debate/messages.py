"""Messages between agents as JSON: what the summariser is asked to write, and how its text is read.

    {"agents": [{"answer": "296", "steps": ["17*23=391", "5+391+8-108=296"]}, ...]}

A message has an entry for each agent that is read, in the order of the agents: the answer or null, and at most
MAX_STEPS steps, each one line of at most MAX_STEP_CHARS characters. The text of a model is hostile input: it is parsed
within limits and checked against this schema. A text that is not valid is not repaired; a message built from the
responses replaces it. A critic reads only the validated values, rewritten as JSON, and no other text of the summariser.
(Agents that use formats other than prose: Chen et al., "Beyond Natural Language: LLMs Leveraging Alternative Formats
for Enhanced Reasoning and Communication", Findings of EMNLP 2024, arXiv 2402.18439.)
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from evaluation.answers.extract import MAX_ANSWER_CHARS
from evaluation.answers.grader import Grader

MAX_MESSAGE_CHARS = 100_000
"""Length of the longest text that is parsed."""
MAX_STEPS = 10
MAX_STEP_CHARS = 200


def _one_line(text: str) -> str:
    r"""Refuse control characters and line ends. In JSON, an unescaped \boxed begins with one: \b is a backspace."""
    if not text.isprintable():
        raise ValueError("printable characters on one line are needed")
    return text


class Statement(BaseModel):
    """What one agent said."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    answer: Annotated[str, Field(max_length=MAX_ANSWER_CHARS), AfterValidator(_one_line)] | None
    steps: list[Annotated[str, Field(max_length=MAX_STEP_CHARS), AfterValidator(_one_line)]] = Field(
        max_length=MAX_STEPS
    )


class Statements(BaseModel):
    """One message: the statements of all agents that a critic reads."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    agents: list[Statement]


def read_message(text: str, agents: int) -> Statements | None:
    """The message in a model's text, with or without a code fence; None unless it is valid and has `agents` entries.

    The parser limits the depth, and so does the schema, which has three levels.
    """
    if len(text) > MAX_MESSAGE_CHARS:
        return None
    try:
        message = Statements.model_validate_json(text.strip().removeprefix("```json").strip("`").strip())
    except ValueError:  # Not JSON, not in the schema, or not Unicode.
        return None
    return message if len(message.agents) == agents else None


def message_of(responses: Sequence[str], grader: Grader) -> Statements:
    """A message built from responses: their extracted answers, and their first lines as steps, cut to the limits."""
    return Statements(agents=[Statement(answer=_cut(grader.extract(each)), steps=_steps(each)) for each in responses])


def _steps(response: str) -> list[str]:
    lines = (line for line in response[: 2 * MAX_STEPS * MAX_STEP_CHARS].splitlines() if line.strip())
    return [str(_cut(line.strip())) for line, _ in zip(lines, range(MAX_STEPS), strict=False)]


def _cut(text: str | None) -> str | None:
    return "".join(c if c.isprintable() else " " for c in text[:MAX_STEP_CHARS]) if text is not None else None
