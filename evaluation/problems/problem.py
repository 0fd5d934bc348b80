"""A problem: a question, its reference answer, and an id, from which seeds and splits are derived."""

import hashlib
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from evaluation.answers.grader import Grader

MAX_QUESTION_CHARS = 20_000


class ProblemFileError(ValueError):
    """A problem file or data set cannot be used; the message names the line and what would be right."""


def normalized(question: str) -> str:
    """The question with case, unicode form and white space folded; equal results have the same id."""
    return " ".join(unicodedata.normalize("NFKC", question).casefold().split())


def question_id(question: str) -> str:
    """Sixteen hex digits of the SHA-256 of the normalized question."""
    return hashlib.sha256(normalized(question).encode()).hexdigest()[:16]


class Problem(BaseModel):
    """One question with its reference answer. The answer is used to measure only, never in training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=1, max_length=MAX_QUESTION_CHARS, description="What the agents are asked.")
    answer: str = Field(min_length=1, max_length=1_000, description="The reference answer, used to measure only.")

    @field_validator("question", "answer")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be blank")
        return value.strip()

    @property
    def id(self) -> str:
        """Digest of the question, so that the same question has the same id in every file."""
        return question_id(self.question)


class Located(NamedTuple):
    """A problem and its place: FILE:LINE, FILE:item N, or SOURCE:row N for Parquet and data sets."""

    problem: Problem
    where: str


def check_references(located: Iterable[Located], grader: Grader) -> None:
    """Refuse problems whose reference answer no response could equal.

    Raises:
        ProblemFileError: the message names the place of the first such problem, its question, its answer and the fault.
    """
    for problem, where in located:
        if fault := grader.fault(problem.answer):
            raise ProblemFileError(
                f"{where}: the reference answer {problem.answer!r:.80} of {problem.question!r:.80} does not fit "
                f"answers.kind {grader.kind}: {fault}"
            )
