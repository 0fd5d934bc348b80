r"""What the readers of answers share: brackets, names of unknowns, words, and which formulas can be read at all.

Every text is in the form of `evaluation.answers.typeset.plain`. Possessive quantifiers (++), which never try a shorter
match, keep the patterns linear in time.
"""

import re

from evaluation.answers.numbers import number

MAX_FORMULA_CHARS = 300
MAX_NESTING = 12

FONT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mathsf|boldsymbol|bm|mbox|rm|operatorname)"
    r"\s*\{([^{}]*)\}"
)
"""A part in another font, such as \\text{hours}."""
NAME = re.compile(
    r"(?=[\\A-Za-z])(?:\\[A-Za-z]++(?:\{[A-Za-z ]+\})?)?(?: ?[A-Za-z]++(?: [A-Za-z]++)*+)?'*+"
    r"(?:_\{?\w++\}?)?(?:\([A-Za-z](?:, ?[A-Za-z])*\))?"
)
r"""The name of an unknown: x, f(x), a_n, \theta, \angle ABC, P(A), the total cost."""

_FUNCTION = re.compile(
    r"(?:arc)?(?:sin|cos|tan|cot|sec|csc)h?|log|ln|exp|sqrt|frac|max|min|mod|det|gcd|lcm", re.IGNORECASE
)
_COMMAND = re.compile(r"\\(?:begin|end) ?\{[a-z*]+\}|\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]{3,}")
_CONSTANT = re.compile(r"(?<![A-Za-z])[ei](?![A-Za-z])")
# Readers of formulas multiply numbers side by side, and read 1e5 as 1 * e + 5.
_MISREAD = re.compile(r"\d\s+\d|\d:\d|\d\.\d*\.\d|\d[eE][+-]?\d")
# Numbers with more digits than any answer; models repeat them.
_RUNAWAY = re.compile(r"\d\s*\^[\s{(]*-?\d+[\s})]*\^|\^[\s{(]*-?\d{5}|\d{5}[\s)]*!|![\s)]*!")


def closing(text: str) -> int:
    """The place of the bracket that closes the one at the start; -1 if there is none. A ( may be closed by ]."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character in "{([") - (character in "})]")
        if depth == 0:
            return place
    return -1


def cut(text: str, pattern: re.Pattern[str]) -> list[str]:
    """The parts between matches of a pattern outside of all brackets, with the matches: part, match, part, ..."""
    parts, depth, start, place = [], 0, 0, 0
    while place < len(text):
        if depth == 0 and (found := pattern.match(text, place)) and found.end() > place:
            parts += [text[start:place], found[0]]
            start = place = found.end()
            continue
        depth += (text[place] in "{([") - (text[place] in "})]")
        place += 2 if text[place] == "\\" and text[place + 1 : place + 2] not in ("{", "}") else 1
    return [*parts, text[start:]]


def worded(text: str) -> bool:
    """Whether the text has a word of three letters or more that is not the name of a function."""
    shown = FONT.sub(r" \1 ", text)
    return any(not _FUNCTION.fullmatch(word) for word in _WORD.findall(_COMMAND.sub(" ", shown)))


def has_variables(text: str) -> bool:
    """Whether a formula has a variable. The letters of a unit, e and i are none."""
    return not number(text) and bool(re.search(r"[A-Za-z]", _CONSTANT.sub("", _COMMAND.sub(" ", text))))


def readable(text: str) -> bool:
    """Whether a formula looks like one that can be read correctly and in reasonable time."""
    if len(text) > MAX_FORMULA_CHARS or _MISREAD.search(text) or _RUNAWAY.search(text) or worded(text):
        return False
    depth = 0
    for character in text:
        depth += (character in "{([") - (character in "})]")
        if depth > MAX_NESTING:
            return False
    return True
