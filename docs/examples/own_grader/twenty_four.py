"""A grader of one's own for the game of 24: two formulas are equal if they have the same numbers and the same value.

    Make 24 of 1, 3, 4 and 6.     6/(1-3/4)  is equal to  6 / (1 - (3 / 4))

A formula is a text of a model, so it is parsed and computed here, and never run: it may hold whole numbers, + - * / and
brackets, and nothing else.
"""

import ast
import operator
import re
from fractions import Fraction

from evaluation.answers.extract import marked_answer

MAX_CHARS = 60
OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
FORMULA = re.compile(r"[\d+*/() -]+")


class TwentyFour:
    """Formulas with a value, 24 unless `target` says otherwise."""

    def __init__(self, target: int = 24) -> None:
        self.target = target

    def extract(self, text: str) -> str | None:
        """The formula that a response marks as its answer, without a `= 24` after it; None if there is none."""
        marked = marked_answer(text, whole=True)
        formula = marked.partition("=")[0].strip() if marked else ""
        return formula if read(formula) else None

    def equivalent(self, a: str, b: str) -> bool:
        """Whether two formulas have the same numbers and the same value."""
        return a == b or (read(a) is not None and read(a) == read(b))

    def fault(self, reference: str) -> str | None:
        """Refuse a reference answer whose value is another one."""
        read = read(reference)
        if read is None:
            return "it is no formula of whole numbers with + - * / and brackets"
        return None if read[0] == self.target else f"its value is {read[0]}, not {self.target}"


def read(formula: str) -> tuple[Fraction, list[int]] | None:
    """The value of a formula and its numbers in order; None if it is no formula, or divides by zero."""
    if len(formula) > MAX_CHARS or not FORMULA.fullmatch(formula):
        return None
    try:
        numbers: list[int] = []
        return _value(ast.parse(formula.strip(), mode="eval").body, numbers), sorted(numbers)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return None


def _value(node: ast.expr, numbers: list[int]) -> Fraction:
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        return OPERATIONS[type(node.op)](_value(node.left, numbers), _value(node.right, numbers))
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        numbers.append(node.value)
        return Fraction(node.value)
    raise ValueError(f"{ast.dump(node)} is neither a number nor one of + - * /")
