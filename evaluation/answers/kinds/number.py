"""Answers that are one number."""

import re
from typing import Literal

from pydantic import Field

from evaluation.answers.equality import key
from evaluation.answers.extract import extract_answer
from evaluation.answers.grader import GRADERS, Grader
from evaluation.answers.thoughts import spoken

LAST_CHARS = 1_000

_SENTENCE = re.compile(r"[.!?]\s+")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:/\d+)?")


@GRADERS.add("number")
class Number(Grader):
    """One number, with or without a unit."""

    kind: Literal["number"] = Field(
        default="number", title="Kind", description="one number; a response that gives none, or several, has no answer."
    )

    def extract(self, text: str) -> str | None:
        """The marked answer if it is a number, or the only number among its words.

        Without a marked answer, the only number in the last sentence, after its last equals sign.
        """
        answer = extract_answer(text)
        if answer is None:
            last = _SENTENCE.split(spoken(text)[-LAST_CHARS:].strip().rpartition("\n")[2])[-1]
            return _only_number(last.rpartition("=")[2])
        if _is_number(answer):
            return answer
        return _only_number(answer) if key(answer)[0] == "words" else None

    def equivalent(self, a: str | None, b: str | None) -> bool:
        """Whether two numbers have the same value; units, percent and currency signs do not count."""
        return a is not None and b is not None and key(a) == key(b)

    def fault(self, reference: str) -> str | None:
        """Refuse a reference that is no number."""
        return None if _is_number(reference) else "it is no number"


def _only_number(text: str) -> str | None:
    numbers = {found[0] for found in _NUMBER.finditer(text) if any(map(str.isdigit, found[0]))}
    return numbers.pop() if len(numbers) == 1 else None


def _is_number(answer: str) -> bool:
    return key(answer)[0] in ("number", "real", "complex")
