r"""Reads one number as it is written: with its sign, currency, thousands commas, percent sign and unit.

Only the value counts. A unit, a currency and a percent sign are dropped: an answer of 18 and one of 18 dollars must be
equal, and so must 18 and 18 cents; as equality is transitive, the two units are then equal too.

A decimal of LONG_PLACES or more places may be the rounded or cut form of another number, as 0.333333 is of 1/3. It
stands for the fraction with the smallest denominator, up to MAX_DENOMINATOR, of which it is such a form.
"""

import re
from fractions import Fraction
from typing import NamedTuple

LONG_PLACES = 6
MAX_DENOMINATOR = 1_000
MAX_UNIT_CHARS = 60

_WHOLE = r"(?:\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+)"
_DECIMAL = rf"(?:{_WHOLE}(?:\.\d*)?|\.\d+)"
_CURRENCY = r"(?:(?:US|A|C|NZ|HK)?\\?[$€£¥₹¢₩₽]|(?:USD|EUR|GBP|INR|JPY|CNY|Rs\.?)(?=[\s\d+-]))"
_NUMBER = re.compile(
    rf"""
    (?P<sign>[+-])?\ ? (?:{_CURRENCY}\ ? (?P<inner_sign>[+-])?\ ?)?
    (?: (?:(?P<whole>\d+)\ )?(?P<part>\d+)/(?P<of>\d+)
      | (?P<top>{_DECIMAL}) (?:[eE](?P<exponent>[+-]?\d{{1,3}}))? (?:\\overline\{{(?P<again>\d+)\}})?
        (?:\ ?/\ ?(?P<bottom>{_DECIMAL}))?
    )
    """,
    re.VERBOSE,
)
_MARK = re.compile(rf"\ ?(?:\\?%|percent\b|\^\\circ\ ?(?:[CFK]\b)?|{_CURRENCY})", re.VERBOSE)
_PLAIN_FRACTION = re.compile(r"\\frac\{ ?(-?)([\d,]+) ?\}\{ ?(-?)([\d,]+) ?\}")
_DECIMAL_FRACTION = re.compile(r"\\frac\{ ?(-?[\d.,]+) ?\}\{ ?(-?[\d.,]+) ?\}")
_DOTS = re.compile(r"(\d+\.\d*?)(\d{1,6}?)\2{2,}\\ldots ?")

_LARGE = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_SHORT_NAMES = (
    "mm cm dm km ft in yd mi mg kg lb oz ml mL dl cl hr hrs min sec sq ms ns kW MW kJ MJ Hz kHz Pa kPa eV mph kph rad "
    "mol ha cc bpm rpm kWh MB GB KB TB px pt of"
)
_SHORT = _SHORT_NAMES.split()
"""Units that are recognized though they are as short as products of variables, such as xy."""
_LETTERS = "msghLlNJWVAKCF"
"""Units of one letter. They count as units after a space, as in 5 m, or as text in LaTeX; 5m is a product."""
_RATE = rf"(?:{'|'.join(_SHORT)}|[A-Za-z]{{3,}}|[{_LETTERS}])"
_POWER = r"(?:\^\{?-?\d\}?)?"
_WORDS = r"[A-Za-z]{2,}\.?(?:[ -]\(?[A-Za-z]+\)?\.?)*"
_UNIT = re.compile(
    rf"\ ?(?: /\ ?[A-Za-z]+ | \((?P<aside>{_WORDS})\) | (?P<words>{_WORDS}){_POWER}(?:\ ?/\ ?[A-Za-z]+{_POWER})?"
    rf" | (?P<rate>{_RATE}{_POWER}\ ?/\ ?{_RATE}{_POWER}) )",
    re.VERBOSE,
)
_WORD = re.compile(r"[A-Za-z]+")
_LETTER_UNIT = re.compile(rf" [{_LETTERS}]{_POWER}| ?(?:st|nd|rd|th)")
_AS_TEXT = re.compile(r"\\(?:text|textrm|textbf|textit|mathrm|mbox|rm)\s*\{ ?([^{}]*?) ?\}" + _POWER)
_NOT_A_UNIT = re.compile(
    r"\b(?:and|or|plus|minus|times|over|half|third|quarter|mod|base|pi|infinity|if|for|when|where|is|are|to|not|"
    r"sin|cos|tan|log|ln|sqrt|factorial|squared|cubed|am|pm|noon|midnight)\b",
    re.IGNORECASE,
)

_ANGLE = re.compile(r"(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
"""A function of an angle. The degree sign after it belongs to the angle, and is not the unit of the answer."""

_MATHEMATICAL = re.compile(r"[\d\\]")


class Number(NamedTuple):
    """The value of an answer that is one number."""

    value: Fraction
    places: int
    """Decimal places as written, without zeros at the end; 0 for anything but a decimal."""
    unit: str
    """As written; empty if there is none."""


def number(text: str) -> Number | None:
    r"""Read a text in the form of `evaluation.answers.typeset.plain` as one number; None if it is none.

    3/4, \frac{3}{4}, 1 3/4, -$1,234.50, 12\%, 1.5e3, 3 million, 18 dollars, 0.\overline{3}, 45^\circ. Exponents have at
    most three digits, so that the fraction stays small.
    """
    if _DOTS.fullmatch(text):
        text = _DOTS.sub(r"\1\\overline{\2}", text)
    if "\\frac" in text:
        text = _PLAIN_FRACTION.sub(_slashed, text).strip()
    found = _NUMBER.match(text)
    if not found:
        return None
    rest = text[found.end() :]
    factor = _factor(rest)
    value = _value(found)
    if factor is None or value is None:
        return None
    if (found["sign"] == "-") != (found["inner_sign"] == "-"):
        value = -value
    decimal = found["top"] is not None and not found["bottom"] and not found["again"] and not found["exponent"]
    places = len(found["top"].partition(".")[2].rstrip("0")) if decimal else 0
    return Number(value * factor, places, rest.strip())


def simplest(decimal: Number) -> Fraction:
    """The number that a decimal stands for: see the module's docstring."""
    if decimal.places < LONG_PLACES:
        return decimal.value
    bound = min(MAX_DENOMINATOR, 10 ** (decimal.places // 2 - 1) if decimal.places > LONG_PLACES else 100)
    candidate = decimal.value.limit_denominator(bound)
    return candidate if is_short_form(decimal, candidate) else decimal.value


def is_short_form(decimal: Number, exact: Fraction) -> bool:
    """Whether a decimal is what is left of an exact number when it is rounded, or cut, to the decimal's places."""
    scale = 10**decimal.places
    shifted = abs(exact) * scale
    written = abs(decimal.value) * scale
    same_sign = exact * decimal.value > 0
    return same_sign and (
        written == shifted.numerator // shifted.denominator or abs(shifted - written) <= Fraction(1, 2)
    )


def without_unit(text: str) -> str:
    r"""A formula without a unit at its end: 2\sqrt{3} cm and 36\pi\text{ cm}^2 become 2\sqrt{3} and 36\pi."""
    if _ANGLE.search(text):
        return text
    number_or_command = _MATHEMATICAL.search(text)
    for place in range(len(text) - 1, max(0, len(text) - MAX_UNIT_CHARS), -1):
        if text[place] not in "\\ ^(" and not (text[place].isalpha() and not text[place - 1].isalpha()):
            continue
        if text[place] != "\\" and not (number_or_command and number_or_command.start() < place):
            return text  # In "A dog", dog is no unit.
        before, after = text[place - 1], text[place:]
        if before not in "+-*/^_=<>,({[\\" and _is_unit(after, attached=after[0] not in " \\(^"):
            return text[:place].strip()
    return text


def _slashed(found: re.Match[str]) -> str:
    sign = "-" if (found[1] == "-") != (found[3] == "-") else ""
    top, bottom = found[2].replace(",", ""), found[4].replace(",", "")
    return f" {top}/{bottom}" if not sign else f" -{top}/{bottom}" if found.start() == 0 else found[0]


def _value(found: re.Match[str]) -> Fraction | None:
    if found["of"]:
        if not int(found["of"]):
            return None
        return int(found["whole"] or 0) + Fraction(int(found["part"]), int(found["of"]))
    value = _fraction(found["top"])
    if found["again"]:
        head = found["top"].partition(".")
        if not head[1]:
            return None
        value += Fraction(int(found["again"]), (10 ** len(found["again"]) - 1) * 10 ** len(head[2]))
    if found["exponent"]:
        value *= Fraction(10) ** int(found["exponent"])
    divisor = _fraction(found["bottom"] or "1")
    return value / divisor if divisor else None


def _fraction(decimal: str) -> Fraction:
    return Fraction(decimal.replace(",", "").replace(" ", ""))


def _factor(rest: str) -> int | None:
    """What the words after a number multiply it by: 1 for a unit, 10**6 for million; None if they are no unit."""
    words = rest.split()
    if words and words[0].lower() in _LARGE:
        after = rest.strip()[len(words[0]) :]
        if _LARGE.keys() & {word.lower() for word in words[1:]}:
            return None
        return _LARGE[words[0].lower()] if not after or _is_unit(after, attached=False) else None
    return 1 if not rest or _is_unit(rest, attached=True) else None


def _is_unit(text: str, *, attached: bool) -> bool:
    """Whether a text after a number or formula is a unit. `attached`: no space is between the two."""
    if mark := _MARK.match(text):
        text, attached = text[mark.end() :], False
    if shown := _AS_TEXT.fullmatch(text.strip()):
        inside = shown[1].strip().rstrip(".")
        return bool(inside) and (inside in _LETTERS or _is_unit(f" {inside}", attached=False))
    if not text.strip() or _LETTER_UNIT.fullmatch(text):
        return True
    found = _UNIT.fullmatch(text)
    if not found or _NOT_A_UNIT.search(text) or any(word.lower() in _LARGE for word in _WORD.findall(text)):
        return False
    if found["words"] is None:
        return True
    first = _WORD.findall(found["words"])[0]
    # 5 xy is a product, and so is 5abc.
    return first in _SHORT or len(first) > (3 if attached and not text.startswith(" ") else 2)
