"""Answers that are one of some labels: multiple choice and classification."""

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from evaluation.answers.extract import extract_answer, marked_answer
from evaluation.answers.grader import GRADERS, Grader
from evaluation.answers.kinds.text import normalized
from evaluation.answers.thoughts import spoken

LETTERS = tuple("ABCDEFGHIJ")
LAST_LINE_CHARS = 300

Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


@GRADERS.add("choice")
class Choice(Grader):
    """One of the labels."""

    kind: Literal["choice"] = Field(default="choice", title="Kind", description="one of some labels.")
    labels: tuple[Label, ...] = Field(
        default=LETTERS,
        min_length=2,
        max_length=1_000,
        title="Labels",
        description="The labels, such as [billing, delivery, other]; case and punctuation do not matter. Unset: the "
        "letters A to J.",
    )

    @field_validator("labels")
    @classmethod
    def _different(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        seen: dict[str, str] = {}
        for label in labels:
            other = seen.setdefault(normalized(label), label)
            if other is not label:
                raise ValueError(f"the labels {other!r} and {label!r} are the same but for case and punctuation")
        return labels

    def extract(self, text: str) -> str | None:
        """The label that the marked answer is, or the only one that it names; else the only one in the last line."""
        if self.labels == LETTERS:
            answer = extract_answer(text)
            return self._label(answer) if answer is not None else None
        answer = marked_answer(text, whole=False)
        if answer is None:
            answer = spoken(text).strip().rpartition("\n")[2][-LAST_LINE_CHARS:]
        return self._label(answer)

    def equivalent(self, a: str | None, b: str | None) -> bool:
        """Whether two answers are the same label."""
        return a is not None and b is not None and (a == b or self._label(a) == (self._label(b) or b))

    def fault(self, reference: str) -> str | None:
        """Refuse a reference that is none of the labels."""
        labels = {normalized(label) for label in self.labels}
        return None if normalized(reference) in labels else f"it is none of the labels {', '.join(self.labels)}"

    def _label(self, answer: str) -> str | None:
        """The label that an answer is, or the only one whose words are in it; None if there is none or several."""
        words = normalized(answer)
        there = [label for label in self.labels if normalized(label) == words]
        if not there and self.labels != LETTERS:
            there = [label for label in self.labels if re.search(rf"\b{re.escape(normalized(label))}\b", words)]
        return there[0] if len(there) == 1 else None
