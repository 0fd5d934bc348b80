r"""Reads an answer as a form: a number, a letter, a time, words, a list, a pair, an interval, a relation, a matrix.

    form("x = 5 \\text{ cm}")   ->  ("number", "5/1")
    form("-3, 5")               ->  ("set", ("number", "-3/1"), ("number", "5/1"))
    form("[0, 1)")              ->  ("[", ("number", "0/1"), ("number", "1/1"), ")")

Two answers are equal if their forms are, see `evaluation.answers.equality`; docs/manual.md has the rules in words. A
form is nested tuples of texts. Its formulas are left as `Formula` and `Relation`, for `evaluation.answers.symbolic`.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from evaluation.answers.numbers import LONG_PLACES, number, simplest, without_unit
from evaluation.answers.relations import Bounds, Relation, named, read_relation
from evaluation.answers.syntax import FONT, MAX_NESTING, NAME, closing, cut, readable, worded
from evaluation.answers.typeset import bare, plain

MAX_PARTS = 100


@dataclass(frozen=True)
class Formula:
    """A formula, whose value is not known yet."""

    text: str


Form = Formula | Relation | tuple[Any, ...]
"""A leaf, or a kind and what it consists of: ("set", Form, Form), ("number", "1/2")."""

_APPROXIMATELY = re.compile(
    r"(?:\\approx|\\sim|\\simeq|~|(?:about|approximately|approx\.?|around|roughly|nearly|almost)(?![A-Za-z]))\s*",
    re.IGNORECASE,
)
_TIME = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?(?::(\d{2}))? ?([ap])\.? ?m\.?", re.IGNORECASE)
_RATIO_PART = re.compile(r"\d+(?:\.\d+)?|[a-z]|\\ldots ?")
_BASED = re.compile(r"([0-9A-Fa-f]+)_\{?(\d+)\}?")
_INFINITY = re.compile(r"([+-]?)\\infty")
_LETTER = re.compile(r"\(?([A-Za-z])\)?")
# A choice with its words, such as (B) mitosis, B. 0.5, B - mitosis and B (mitosis); it counts as its letter.
_LABELLED = re.compile(
    r"(?:\(([A-J])\)|([A-J])[).:](?!\d)|([A-J])(?:,| ?-| (?=\())(?= ?\(?[a-z]{3})) ?[^ ].*", re.DOTALL
)
_LABEL = re.compile(r"\([A-J]\)|(?<![A-Za-z])[A-J][).:]")
_COMMA = re.compile(r"[,;]")
_SEPARATOR = re.compile(
    r"[,;]|\\(?:text|textrm|mathrm|mbox) ?\{ ?,? ?(?:and|or) ?\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])", re.IGNORECASE
)
_OR = re.compile(r"(?<![A-Za-z])or(?![A-Za-z])", re.IGNORECASE)
_UNION = re.compile(r"\\cup(?![A-Za-z])")
_BUILDER = re.compile(rf"{NAME.pattern} ?(?:\\in ?\\mathbb\{{R\}} ?)?(?:\||:|\\mid(?![A-Za-z])) ?")
_MATRIX = re.compile(
    r"\\begin ?\{(?P<kind>[bpvBV]?matrix|array)\} ?(?:\{[lcr|]*\})?(?P<rows>.*)\\end ?\{(?P=kind)\}", re.DOTALL
)
_LETTERS = re.compile(r"[A-Za-z][A-Za-z .'-]*[A-Za-z]\.?")
_PRODUCT = re.compile(r"[A-Za-z](?: [A-Za-z])*")


def form(text: str) -> Form:
    """The form of an answer. An answer that is none of the known forms has the form ("text", the answer)."""
    shown = plain(text)
    return _labelled(shown) or _form(shown, MAX_NESTING) or ("text", shown or text)


def _labelled(text: str) -> Form | None:
    """The letter of a choice that is given with its words."""
    if FONT.match(text):
        text = " ".join(FONT.sub(r"\1 ", text, count=1).split())
    found = _LABELLED.fullmatch(text)
    if not found or _LABEL.search(text, found.end(found.lastindex or 0) + 1):
        return None  # A: 3, B: 4 names two choices.
    return "letter", str(found[found.lastindex or 0]).lower()


def _form(text: str, depth: int) -> Form | None:
    """The form of a text that `plain` has rewritten; None if there is nothing in it."""
    text = _unwrapped(text)
    if not text or depth == 0:
        return ("text", text) if text else None
    if simple := _letter_or_time(text) or _numeric(text):
        return simple
    for read in (_matrix, _several, _related, _bracketed, _both_signs):
        if found := read(text, depth - 1):
            return found
    return _ratio(text) or _words_or_formula(text)


def _unwrapped(text: str) -> str:
    r"""Without what surrounds the whole: fonts such as \mathbf{18}, braces, round brackets, "about"."""
    while True:
        before = text
        text = bare(text)
        if found := FONT.fullmatch(text):
            text = found[1]
        elif len(text) > 2 and text[0] in "{(" and closing(text) == len(text) - 1 and len(_parts(text[1:-1])) == 1:
            text = text[1:-1]
        elif found := _APPROXIMATELY.match(text):
            text = text[found.end() :]
        if text == before:
            return text


def _letter_or_time(text: str) -> Form | None:
    if found := _LETTER.fullmatch(text):
        return "letter", found[1].lower()
    if found := _TIME.fullmatch(FONT.sub(r"\1", text)):
        hour = int(found[1]) % 12 + 12 * (found[4].lower() == "p")
        return "time", f"{hour}:{found[2] or '00'}:{found[3] or '00'}"
    return None


def _numeric(text: str) -> Form | None:
    """A number, a number in a base, or infinity."""
    if read := number(text):
        exact = simplest(read)
        if read.places >= LONG_PLACES and exact == read.value:
            return "decimal", _written(exact), str(read.places)
        return "number", _written(exact)
    if found := _BASED.fullmatch(text):
        return "base", found[2], found[1].lower()
    if found := _INFINITY.fullmatch(text):
        return "number", "-oo" if found[1] == "-" else "oo"
    return _interval(None, None, "()", 1) if text == "\\mathbb{R}" else None


def _written(value: Fraction) -> str:
    # Hexadecimal, since Python refuses to write decimals of more than 4,300 digits.
    return f"{value.numerator:x}/{value.denominator:x}"


def _parts(text: str) -> list[str]:
    return [part.strip() for part in cut(text, _COMMA)[::2]]


def _each(parts: list[str], depth: int) -> list[Form]:
    return [_form(part, depth) or ("text", "") for part in parts]


def _several(text: str, depth: int) -> Form | None:
    """Several answers, such as 3, 5 or `x = 3 or x = 5`: a set, or values by name if they have different names."""
    if _UNION.search(text):
        return "union", *_each(cut(text, _UNION)[::2], depth)
    parts = [part for part in map(str.strip, cut(text, _SEPARATOR)[::2]) if part]
    if not 2 <= len(parts) <= MAX_PARTS:
        return None
    if len({read.unit for part in parts if (read := number(part)) and read.unit}) > 1:
        return "words", " ".join(text.casefold().split())  # 4 apples and 3 pears
    names, values = zip(*map(named, parts), strict=True)
    if len(set(names) - {""}) > 1:
        by_name = sorted(zip(names, _each(list(values), depth), strict=True), key=lambda pair: str(pair[0]))
        return None if "" in names else ("values", *by_name)
    forms = _each(list(values), depth)
    return ("union" if any(map(_is_interval, forms)) and _OR.search(text) else "set"), *forms


def _is_interval(form: Form) -> bool:
    return isinstance(form, tuple) and len(form) == 4 and form[0] in ("(", "[") and form[-1] in (")", "]")


def _related(text: str, depth: int) -> Form | None:
    found = read_relation(text)
    if isinstance(found, str):
        return _form(found, depth)
    return _interval(found.low, found.high, found.brackets, depth) if isinstance(found, Bounds) else found


def _interval(low: str | None, high: str | None, brackets: str, depth: int) -> Form:
    start, end = _each([low or "-\\infty", high or "\\infty"], depth)
    return brackets[0], start, end, brackets[1]


def _bracketed(text: str, depth: int) -> Form | None:
    r"""A set \{1,2\}, a pair (1,2) (which may also be an open interval), or another interval."""
    if text.startswith("\\{") and text.endswith("\\}"):
        if built := _BUILDER.match(text, 2):
            return _form(text[built.end() : -2], depth)
        return "set", *_each([part for part in _parts(text[2:-2]) if part], depth)
    if text[0] not in "([" or text[-1] not in ")]" or closing(text) != len(text) - 1:
        return None
    inside = _parts(text[1:-1])
    if any(re.fullmatch(r"0\d\d", part) for part in inside[1:]):
        inside = [text[1:-1]]  # (1,000) is a number.
    forms = _each(inside, depth)
    return forms[0] if len(forms) == 1 else (text[0], *forms, text[-1])


def _matrix(text: str, depth: int) -> Form | None:
    found = _MATRIX.fullmatch(text)
    if not found:
        return None
    cells = [row.split("&") for row in found["rows"].split("\\\\") if row.strip()]
    if sum(map(len, cells)) > MAX_PARTS:
        return None
    kind = "determinant" if found["kind"] in ("vmatrix", "Vmatrix") else "matrix"
    return kind, *(("row", *_each(row, depth)) for row in cells)


def _both_signs(text: str, depth: int) -> Form | None:
    r"""The two values of a \pm b."""
    if text.count("\\pm") != 1:
        return None
    before, _, after = text.partition("\\pm")
    plus = f"{before}+{after}" if before.strip(" {(") else f"{before}{after}"
    return "set", *_each([plus, f"{before}-{after}"], depth)


def _ratio(text: str) -> Form | None:
    """A ratio, or a time without a.m. or p.m.; 8:30 equals 08:30, and 2:4 is not 1:2."""
    parts = [part.strip() for part in text.split(":")]
    if len(parts) < 2 or not all(map(_RATIO_PART.fullmatch, parts)):
        return None
    return "ratio", *(part.lstrip("0") or "0" for part in parts)


def _words_or_formula(text: str) -> Form:
    formula = without_unit(text)
    if formula != text and (simple := _numeric(_unwrapped(formula))):
        return simple
    loose = " ".join(FONT.sub(r" \1 ", text).split())
    if worded(formula) or (_LETTERS.fullmatch(loose) and not _PRODUCT.fullmatch(loose)):
        return "words", loose.casefold()
    return Formula(FONT.sub(r" \1", formula)) if readable(formula) else ("text", text)
