"""Answers that are a few words, compared without regard to case, punctuation and articles."""

import re
import unicodedata
from typing import Literal

from pydantic import Field

from evaluation.answers.extract import marked_answer
from evaluation.answers.grader import GRADERS, Grader

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_MARK = re.compile(r"[^\w\s]|_")


def normalized(text: str) -> str:
    """The words of a text in lower case, without punctuation and articles, as SQuAD's evaluation compares answers.

    Source: Rajpurkar et al., https://arxiv.org/abs/1606.05250, section 6.1. If nothing else is left, marks and
    articles stay.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_ARTICLE.sub(" ", _MARK.sub(" ", folded)).split()) or " ".join(folded.split())


@GRADERS.add("text")
class Text(Grader):
    """A few words."""

    kind: Literal["text"] = Field(
        default="text", title="Kind", description="a few words, compared without case, punctuation and articles."
    )

    def extract(self, text: str) -> str | None:
        """The marked answer, or the whole response if it is one short line."""
        return marked_answer(text, whole=True)

    def equivalent(self, a: str | None, b: str | None) -> bool:
        """Whether two texts have the same words in the same order."""
        return a is not None and b is not None and normalized(a) == normalized(b)
