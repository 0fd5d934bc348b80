"""Messages between agents as JSON: what the summariser is asked to write, and what is taken of it.

    {"agents": [{"answer": "296", "steps": ["17*23=391", "5+391+8-108=296"]}, ...]}

An entry for each agent that is read, in their order: its answer, or null, and the steps to it, at most MAX_STEPS of
MAX_STEP_CHARS characters, each one line. What a model writes is hostile input: it is read within limits and against
this schema, and what is not valid is not repaired but replaced by a message built from the responses themselves. A
critic reads the validated values, written anew, and never what the summariser wrote around them. (Agents that speak in
other formats than prose: Chen et al., "Beyond Natural Language: LLMs Leveraging Alternative Formats for Enhanced
Reasoning and Communication", Findings of EMNLP 2024, arXiv 2402.18439.)
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from evaluation.answers.extract import MAX_ANSWER_CHARS, extract_answer

MAX_MESSAGE_CHARS = 100_000
"""Longest text that is parsed at all."""
MAX_STEPS = 10
MAX_STEP_CHARS = 200


def _one_line(text: str) -> str:
    r"""Refuses control characters and line ends: LaTeX's \boxed begins with one if it is not escaped for JSON."""
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
    """What all those said whom an agent hears: one message."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    agents: list[Statement]


def read_message(text: str, agents: int) -> Statements | None:
    """The message that a model wrote, with or without a fence around it; None unless it is valid, for that many agents.

    Depth is limited by the parser, and by the schema, which has three levels.
    """
    if len(text) > MAX_MESSAGE_CHARS:
        return None
    try:
        message = Statements.model_validate_json(text.strip().removeprefix("```json").strip("`").strip())
    except ValueError:  # No JSON, not of the schema, or no Unicode.
        return None
    return message if len(message.agents) == agents else None


def message_of(responses: Sequence[str]) -> Statements:
    """The same from the responses themselves: extracted answers, and the first lines as steps, cut to the limits."""
    return Statements(agents=[Statement(answer=_cut(extract_answer(each)), steps=_steps(each)) for each in responses])


def _steps(response: str) -> list[str]:
    lines = (line for line in response[: 2 * MAX_STEPS * MAX_STEP_CHARS].splitlines() if line.strip())
    return [str(_cut(line.strip())) for line, _ in zip(lines, range(MAX_STEPS), strict=False)]


def _cut(text: str | None) -> str | None:
    return "".join(c if c.isprintable() else " " for c in text[:MAX_STEP_CHARS]) if text is not None else None
