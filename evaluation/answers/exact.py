"""Compares two answers without computer algebra, as numbers or words; formulas are left to math-verify.

Most answers are numbers, some with a currency sign, thousands comma, unit or percent sign. They are compared as exact
fractions. Words are compared as words. All other answers are formulas; `measured` says which may go to math-verify.

Texts are expected to have at most a few thousand characters; `evaluation.answers.extract` limits their length.
"""

import re
from fractions import Fraction
from typing import NamedTuple

MAX_FORMULA_CHARS = 300
MAX_NESTING = 12
ROUNDED_PLACES = 6

_SPACING = re.compile(r"\\(?:left|right|displaystyle|quad|qquad)(?![A-Za-z])|(?<!\\)\\[!,;:()\[\]]")
_SPACE = re.compile(r"(?<!\\)\\ |~|\s+")
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_SHORT_FRACTION = re.compile(r"\\frac\s*(\d)\s*(\d)")
_PLAIN_FRACTION = re.compile(r"\\frac\s*\{\s*(-?[\d.,]+)\s*\}\s*\{\s*([\d.,]+)\s*\}")
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox)\s*\{([^{}\\]*)\}")
_ONE_IN_BRACES = re.compile(r"([_^])\{(\w)\}")
_IDLE_SPACE = re.compile(r"(?<!\w) | (?!\w)")

_WHOLE = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_DECIMAL = rf"(?:{_WHOLE}(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{{1,3}})?"
_NUMBER = re.compile(
    rf"""
    (?P<sign>[+-])?\ ? (?:\\?[$€£¥₹]\ ? (?P<inner_sign>[+-])?\ ?)?
    (?: (?P<whole>\d+)\ (?P<part>\d+)/(?P<of>\d+) | (?P<top>{_DECIMAL}) (?:\ ?/\ ?(?P<bottom>{_DECIMAL}))? )
    (?P<percent>\ ?\\?%|\ percent)?
    (?:\ (?P<unit>[A-Za-z]{{2,}}(?:[ -][A-Za-z]+)*))?
    """,
    re.VERBOSE,
)
_LARGE = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_SHORT_UNIT = re.compile(r"mm|cm|km|ft|in|yd|mi|mg|kg|lb|oz|ml|hr|am|pm|sq")
_NOT_A_UNIT = re.compile(r"\b(?:and|or|plus|minus|times|over|half|third|quarter|mod|base|pi|infinity)\b")
_NAME = re.compile(
    "and|(?:arc)?(?:sin|cos|tan)|cot|sec|csc|log|exp|sqrt|[dt]?frac|max|min|mod|det|gcd|lcm", re.IGNORECASE
)
_COMMAND = re.compile(r"\\(?:begin|end)\s*\{[a-z*]+\}|\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]{3,}")
_LETTER = re.compile(r"\(?([A-Za-z])\)?")
# A choice with its words, such as (B) mitosis. It equals another answer that is only its letter.
_LABELLED = re.compile(r"(?:\(([A-J])\)|([A-J])[).:]) ?[^ ].*")

# math-verify misreads these: it multiplies numbers side by side, drops a base, and divides a time of day.
_MISREAD = re.compile(r"\d\s+\d|\d\s*_|\d\s*:\s*\d|\d\.\d*\.\d")
# Numbers with more digits than any answer. The worker survives them, but each takes seconds, and models repeat them.
_RUNAWAY = re.compile(r"\d\s*\^[\s{(]*-?\d+[\s})]*\^|\^[\s{(]*-?\d{5}|\d{4}[\s)]*!|![\s)]*!")


class Number(NamedTuple):
    """A number as it was written."""

    value: Fraction
    places: int | None
    """Decimal places, or None for anything but a decimal."""
    percent: bool
    unit: str


def formula(text: str) -> str:
    """The answer without typesetting: math delimiters, spacing, a full stop at the end."""
    text = text.replace("\u2212", "-").replace("\u2013", "-").replace("\u00a0", " ").replace("{,}", ",")
    text = _SPACE.sub(" ", _SPACING.sub("", text)).strip()
    while len(text) > 1 and text[0] == text[-1] and text[0] in "$*`":
        text = text[1:-1].strip()
    text = text.strip(" .;,").replace("**", "^")
    text = _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", _FRACTION.sub(r"\\frac", text))
    return _IDLE_SPACE.sub("", _ONE_IN_BRACES.sub(r"\1\2", text))


def canonical(text: str) -> str:
    r"""The `formula` with its \text{...} as bare words; `number` and `decide` expect this form."""
    return formula(_WRAPPED.sub(r" \1", text))


def _fraction(decimal: str) -> Fraction:
    return Fraction(decimal.replace(",", ""))


def number(text: str) -> Number | None:
    r"""Read a `canonical` text as one number with its sign, unit, currency or percent; None if it is not a number.

    3/4, \frac34, 1 3/4, -$1,234.50, 12\%, 1.5e3, 3 million, 18 dollars. Exponents have at most three digits, so
    that the fraction stays small.
    """
    found = _NUMBER.fullmatch(_PLAIN_FRACTION.sub(r" \1/\2", text).strip())
    if not found:
        return None
    unit = (found["unit"] or "").casefold()
    words = unit.split()
    factor = _LARGE[words.pop(0)] if words and words[0] in _LARGE else 1
    if _NOT_A_UNIT.search(unit) or _LARGE.keys() & words:
        return None
    if words and len(words[0]) == 2 and not _SHORT_UNIT.fullmatch(words[0]):
        return None  # 5 xy is a product.
    places = None
    if found["whole"]:
        if not int(found["of"]):
            return None
        value = int(found["whole"]) + Fraction(int(found["part"]), int(found["of"]))
    else:
        value = _fraction(found["top"])
        divisor = _fraction(found["bottom"] or "1")
        if not divisor:
            return None
        value /= divisor
        if not found["bottom"] and "." in found["top"]:
            places = len(found["top"].lower().split("e")[0].partition(".")[2])
    if (found["sign"] == "-") != (found["inner_sign"] == "-"):
        value = -value
    return Number(value * factor, places, bool(found["percent"]), " ".join(words))


def _same_value(a: Number, b: Number) -> bool:
    """Whether two values are equal, or one is a decimal (ROUNDED_PLACES or more) to which the other rounds."""
    if a.value == b.value:
        return True
    if a.places is None and b.places is not None:
        a, b = b, a
    return (
        a.places is not None and b.places is None and a.places >= ROUNDED_PLACES and round(b.value, a.places) == a.value
    )


def _same_number(a: Number, b: Number) -> bool:
    """As `_same_value`; a number without a unit equals one with any unit, and 50% equals both 50 and 0.5."""
    if a.unit and b.unit and a.unit.removesuffix("s") != b.unit.removesuffix("s"):
        return False
    if _same_value(a, b):
        return True
    if a.percent == b.percent:
        return False
    if b.percent:
        a, b = b, a
    hundredth = Number(a.value / 100, None if a.places is None else a.places + 2, False, "")
    return _same_value(hundredth, b)


def _worded(text: str) -> bool:
    """Whether the text has a word other than the name of a function."""
    return any(not _NAME.fullmatch(word) for word in _WORD.findall(_COMMAND.sub(" ", text)))


def _same_letter(a: str, b: str) -> bool | None:
    """Whether a letter equals the other answer's letter, with or without words; None if neither is only a letter."""
    for one, other in ((a, b), (b, a)):
        if letter := _LETTER.fullmatch(one):
            found = _LETTER.fullmatch(other) or _LABELLED.fullmatch(other)
            return found and found[found.lastindex or 0].lower() == letter[1].lower()
    return None


def decide(a: str, b: str) -> bool | None:
    """Whether two `canonical` texts are the same answer; None if they are formulas for math-verify."""
    if not a or not b:
        return False
    if a == b:
        return True
    left, right = number(a), number(b)
    if left and right:
        return _same_number(left, right)
    chosen = _same_letter(a, b)
    if chosen is not None:
        return chosen
    if _worded(a) or _worded(b):
        # As formulas, words would be products of letters, and "eat" would equal "tea".
        return a.casefold() == b.casefold()
    return None if measured(a) and measured(b) else False


def measured(text: str) -> bool:
    """Whether a formula looks like one that math-verify reads correctly and in reasonable time."""
    if len(text) > MAX_FORMULA_CHARS or _MISREAD.search(text) or _RUNAWAY.search(text):
        return False
    depth = 0
    for character in text:
        depth += (character in "{([") - (character in "})]")
        if depth > MAX_NESTING:
            return False
    return True
