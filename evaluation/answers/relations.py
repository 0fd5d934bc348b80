r"""Reads answers that are equations or inequalities, and answers that are given by name.

x = 5, 5 = x, f(x) = 5     the answer is 5
20 - 15 = 5                the answer is 5, the last side
x \in A                    the answer is A
x > 5, 5 < x               an interval
2x + 3y = 6                the equation itself: the same as 6 - 2x - 3y = 0
"""

import re
from dataclasses import dataclass

from evaluation.answers.syntax import NAME, cut, has_variables, readable

MAX_SIDES = 20

_NAMES = re.compile(r"\([A-Za-z](?:, ?[A-Za-z])+\)")
_MEMBER = re.compile(rf"{NAME.pattern} ?\\in(?![A-Za-z])")
_SIDES = re.compile(r"\\(?:le|ge|ne|approx)(?![A-Za-z])|[=<>]")
_EQUALS = re.compile("=")
_SIGNS = {"\\le": "<=", "\\ge": ">=", "\\ne": "!=", "\\approx": "=", "=": "=", "<": "<", ">": ">"}
_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


@dataclass(frozen=True)
class Relation:
    """An equation or inequality that gives no value: the difference of its sides is compared with zero."""

    sign: str
    """One of =, !=, < and <=; the others are turned round."""
    text: str


@dataclass(frozen=True)
class Bounds:
    """An interval as the ends of an unknown's values; None for infinity. `brackets` is one of (), (], [) and []."""

    low: str | None
    high: str | None
    brackets: str


def read_relation(text: str) -> str | Bounds | Relation | None:
    """What an equation or inequality says; a text is the answer that it gives. None if the text is neither."""
    if found := _MEMBER.match(text):
        return text[found.end() :]
    pieces = cut(text, _SIDES)
    sides, signs = [side.strip() for side in pieces[::2]], [_SIGNS[sign] for sign in pieces[1::2]]
    if not signs or not all(sides) or len(sides) > MAX_SIDES:
        return None
    return _equated(sides) if set(signs) == {"="} else _bounds(sides, signs) or _compared(sides, signs)


def named(text: str) -> tuple[str, str]:
    """The name and the value of `x = 3`; an empty name if it has none."""
    sides = cut(text, _EQUALS)
    if len(sides) == 3 and NAME.fullmatch(sides[0].strip()) and sides[2].strip():
        return sides[0].strip(), sides[2]
    return "", text


def _equated(sides: list[str]) -> str | Relation | None:
    values = [side for side in sides if not NAME.fullmatch(side) and not _NAMES.fullmatch(side)]
    if len(values) < len(sides) and (len(values) <= 1 or sides[0] not in values):
        return values[-1] if values else sides[-1]  # x = 5, 5 = x, x = y, x = 10/2 = 5
    if not any(map(has_variables, values)):
        return sides[-1]  # 20 - 15 = 5
    return _compared(sides, ["="])


def _bounds(sides: list[str], signs: list[str]) -> Bounds | None:
    """The interval of `x > 5` or `1 <= x < 3`; None if no unknown stands alone between numbers."""
    places = [place for place, side in enumerate(sides) if NAME.fullmatch(side)]
    if not {"=", "!="}.isdisjoint(signs) or len(sides) > 3 or len(places) != 1 or (len(sides) == 3 and places != [1]):
        return None
    low = high = None
    left, right = "(", ")"
    for place, side in enumerate(sides):
        if place == places[0]:
            continue
        if has_variables(side):
            return None
        sign = signs[place] if place < places[0] else _TURNED[signs[place - 1]]
        # The side, then the sign, then the unknown.
        if sign.startswith("<"):
            low, left = side, "(" if sign == "<" else "["
        else:
            high, right = side, ")" if sign == ">" else "]"
    return Bounds(low, high, left + right)


def _compared(sides: list[str], signs: list[str]) -> Relation | None:
    if len(sides) != 2 or not all(map(readable, sides)):
        return None
    if signs[0] in (">", ">="):
        sides, signs = sides[::-1], [_TURNED[signs[0]]]
    return Relation(signs[0], f"({sides[0]})-({sides[1]})")
