"""Mathematical answers, also choices and single words: the default, for GSM8K, MATH, MMLU and arithmetic."""

import json
from typing import Literal

from pydantic import Field

from evaluation.answers.equality import equivalent
from evaluation.answers.extract import extract_answer
from evaluation.answers.grader import GRADERS, Grader


@GRADERS.add("math")
class Math(Grader):
    """Numbers, formulas, sets, intervals, choices and words, as `evaluation.answers.equality` compares them."""

    kind: Literal["math"] = Field(
        default="math", title="Kind", description="numbers, formulas, sets, choices, words: compared by their meaning."
    )

    def extract(self, text: str) -> str | None:
        """The answer at the first place that `evaluation.answers.extract` lists."""
        return extract_answer(text)

    def equivalent(self, a: str | None, b: str | None) -> bool:
        """Whether two answers mean the same."""
        return equivalent(a, b)

    def fault(self, reference: str) -> str | None:
        """Refuse a reference that is a JSON object, or a list with a text or an object in it."""
        try:
            value = json.loads(reference) if reference[:1] in ("{", "[") else None
        except (ValueError, RecursionError):
            return None
        is_json = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(e, str | dict) for e in value))
        return "it is JSON; set answers.kind to json" if is_json else None


MATH = Math()
