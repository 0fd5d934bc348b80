r"""Finds the reference answer in a worked solution: after `####` (GSM8K) or in \boxed{...} (MATH).

48/2 = 24, and 48 + 24 = 72.\n#### 72      ->  72
So there are $\boxed{3}$ of them.          ->  3
"""

import re

from evaluation.answers.boxes import boxed

_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!,?\d)")
# MATH also has boxes without braces, which extend to the end of the formula.
_OPEN_BOX = re.compile(r"\\(?:boxed|fbox)\s+([^$\n]*[^$\s])")


def reference(solution: str) -> str:
    r"""The answer in a solution: the text after `####`, the content of \boxed{...}, or all of it; see `marked`."""
    answer = marked(solution)
    return solution.strip() if answer is None else answer


def marked(solution: str) -> str | None:
    r"""The marked answer of a worked solution; None if no answer is marked.

    It is the text after the last `####`, else the content of the last \boxed{...}. If a box follows the `####`, or
    there is a box and several lines follow the `####`, then the `####` is a heading and the answer is in the box. The
    commas of 1,000 are left out after `####`; those of (1, 2) or [0,100) stay.
    """
    _, mark, after = solution.rpartition("####")
    box = _box(solution)
    heading = box is not None and ("\n" in after.strip() or _box(after) is not None)
    if mark and not heading:
        return _without_thousands(after.strip())
    return box


def _box(solution: str) -> str | None:
    inside = boxed(solution)
    if inside is None and (opened := _OPEN_BOX.findall(solution)):
        return str(opened[-1]).rstrip(".")
    return inside


def _without_thousands(answer: str) -> str:
    # Inside brackets, 100,200 is a pair.
    if any(bracket in answer for bracket in "([{"):
        return answer
    return _THOUSANDS.sub(lambda number: number[0].replace(",", ""), answer)
