"""Mathematical answers, also choices and single words: the default, for GSM8K, MATH, MMLU and arithmetic."""

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


MATH = Math()
