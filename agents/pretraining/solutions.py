"""Written-out solutions of a+b*c+d-e*f in three styles, each with a slip of its own.

    products   Products first. 17*23=17*20+17*3=340+51=391. 12*9=108. Then 5+391=396, 396+8=404, 404-108=296. ...
    steps      Left to right. 5. Add 17*23=...=391: 5+391=396. Add 8: 396+8=404. Take 12*9=108: 404-108=296. ...
    groups     Gains and losses. 17*23=...=391, 5+8=13, 391+13=404. Loss 12*9=108. 404-108=296. ...

Solutions that a model reads while it learns to compute contain slips, so that it does not learn to copy: `products`
forgets the summand d, `steps` adds the second product instead of subtracting it, `groups` loses the zero of a partial
product (17*23=17*2+17*3).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from evaluation.problems.arithmetic import Values

STYLES = ("products", "steps", "groups")

Memory = Callable[[int, int], int]
"""Maps b and c to the recalled value of b*c."""


@dataclass
class Solution:
    """A response to one question, with the products and the answer that a summary repeats."""

    text: str
    products: tuple[str, str]
    answer: int


@dataclass
class Writer:
    """Writes one solution; every number may be corrupted, and the next steps then use the wrong number."""

    rng: random.Random
    corruption: float = 0.0
    memory: Memory | None = None
    corrupted: bool = field(default=False, init=False)

    def number(self, value: int) -> int:
        """`value`, or with probability `corruption` a number near it."""
        if self.rng.random() < self.corruption:
            self.corrupted = True
            return value + self.rng.choice((-20, -10, -2, -1, 1, 2, 10, 20))
        return value

    def product(self, b: int, c: int, lose_zero: bool = False) -> tuple[str, int]:
        """The text and value of b*c: recalled by `memory` if there is one, else written out in partial products."""
        if self.memory:
            value = self.number(self.memory(b, c))
            return f"{b}*{c}={value}", value
        tens, ones = c - c % 10, c % 10
        if not tens or (not ones and not lose_zero):
            value = self.number(b * c)
            return f"{b}*{c}={value}", value
        if lose_zero:
            tens //= 10
        if not ones:
            value = self.number(b * tens)
            return f"{b}*{c}={b}*{tens}={value}", value
        high, low = self.number(b * tens), self.number(b * ones)
        value = self.number(high + low)
        return f"{b}*{c}={b}*{tens}+{b}*{ones}={high}+{low}={value}", value

    def sum(self, a: int, b: int) -> tuple[str, int]:
        """The text and value of a+b; for a negative b, of a-|b|, computed place by place as a positive difference."""
        value = self.number(a + b)
        if b >= 0:
            return f"{a}+{b}={value}", value
        way = ""
        if a + b >= 0:
            way = "".join(f"{part}=" for part in _places(a, -b))
        elif a >= 0:
            way = "".join(f"-({part})=" for part in (f"{-b}-{a}", *_places(-b, a)))
        return f"{a}-{-b}={way}{value}", value


def _places(a: int, b: int) -> list[str]:
    """The steps of a-b that subtract the highest place of b first: for 634-258, they are 434-58 and 384-8.

    A model writes the highest digit first, and cannot foresee a borrow two places later.
    """
    parts = []
    while b >= 10:
        high = b - b % 10 ** (len(str(b)) - 1)
        a, b = a - high, b - high
        if b:
            parts.append(f"{a}-{b}")
    return parts


def write(values: Values, style: str, writer: Writer, slip: bool = False) -> Solution:
    """One solution in `style`, with the slip of that style or without."""
    a, b, c, d, e, f = values
    lose_zero = slip and style == "groups"
    first, gain = writer.product(b, c, lose_zero)
    second, loss = writer.product(e, f, lose_zero)
    if style == "products":
        text, total = writer.sum(a, gain)
        if not slip:
            more, total = writer.sum(total, d)
            text = f"{text}, {more}"
        last, total = writer.sum(total, -loss)
        text = f"Products first. {first}. {second}. Then {text}, {last}."
    elif style == "steps":
        one, total = writer.sum(a, gain)
        two, total = writer.sum(total, d)
        three, total = writer.sum(total, loss if slip else -loss)
        text = f"Left to right. Start with {a}. Add {first}: {one}. Add {d}: {two}. Take {second}: {three}."
    else:
        small, rest = writer.sum(a, d)
        one, total = writer.sum(gain, rest)
        two, total = writer.sum(total, -loss)
        text = f"Gains and losses. Gains: {first}, {small}, {one}. Losses: {second}. Net: {two}."
    return Solution(
        text=f"{text} The answer is \\boxed{{{total}}}.",
        products=(f"{b}*{c}={gain}", f"{e}*{f}={loss}"),
        answer=total,
    )


def summary(solutions: list[Solution]) -> str:
    """The target of a summarise turn: each agent's products and answer."""
    lines = (
        f"Agent {number}: {s.products[0]}, {s.products[1]}, answer {s.answer}."
        for number, s in enumerate(solutions, start=1)
    )
    return "\n".join(lines)
