"""Finds the style in which a response solves a+b*c+d-e*f, from its text alone, and counts a society's styles.

    products   both products are worked out before anything is added up
    steps      from left to right: the first sum includes the first product, the second product comes later
    groups     additions apart from subtractions: the first sum omits the first product, the second comes later

A style is the order of the operations, whatever the words around them. So a model that was never taught the embedded
model's phrases has a style too. An operation is the term before the first = of a chain such as 17*23=17*20+17*3=391.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from evaluation.answers.extract import TAIL_CHARS
from evaluation.record import Record

STYLES = ("products", "steps", "groups")
OTHER = "other"

_TIMES = re.compile(r"\\times|\\cdot|[\u00d7\u00b7\u2217]")
_MINUS = re.compile("[\u2212\u2013]")
_EMPHASIS = re.compile(r"\*\*|[$`]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")
# Repeats are bounded, so that a long run of spaces or digits is not read again from each position.
_SPACED = re.compile(r"[ \t]{0,3}([*+=-])[ \t]{0,3}")
_CHAIN = re.compile(r"(?<![\d*+=/.^-])(-?\d{1,12}(?:[*+-]\d{1,12}){1,8})(=[-+*=\d]*)")


class Styles(Record):
    """The reasoning styles of a society's agents. An effective number counts only known styles."""

    shares: list[dict[str, float]] = Field(description="Per agent, shares of its responses by style or as `other`.")
    effective: float = Field(description="Effective number of styles in the society, 1 to the number of styles.")
    effective_alone: float = Field(description="Effective number of styles in one agent, on average.")


def reasoning_style(text: str) -> str | None:
    """One of STYLES, or None for a response that does not work out two products and a sum one by one.

    Only the last TAIL_CHARS characters are read.
    """
    operations = _operations(text[-TAIL_CHARS:])
    products = [place for place, (term, _) in enumerate(operations) if "*" in term]
    if len(products) < 2 or len(products) == len(operations):
        return None
    early = [re.split("[+-]", term) for term, _ in operations[: products[1]] if "*" not in term]
    if not early:
        return "products"
    _, gain = operations[products[0]]
    # A number in the first sum may equal the product by chance. This is so if the next sum starts with the product.
    starts_anew = early[1:] and early[1][0] == gain
    return "steps" if gain in early[0] and not starts_anew else "groups"


def _operations(text: str) -> list[tuple[str, str]]:
    """Every product or sum that is worked out, with its result: 17*23 and 391; a mixed term only restates a problem."""
    text = _THOUSANDS.sub("", _EMPHASIS.sub("", _MINUS.sub("-", _TIMES.sub("*", text))))
    chains = _CHAIN.findall(_SPACED.sub(r"\1", text))
    return [
        (term, rest.rpartition("=")[2]) for term, rest in chains if "*" not in term or not re.search(r"\d[+-]", term)
    ]


def style_shares(styles: Sequence[Sequence[str | None]]) -> Styles | None:
    """Shares of the styles per agent, and their effective number: the exponential of the Shannon entropy.

    The effective number is the Hill number of order 1: this many styles, used equally, have the same entropy. For the
    society it is computed from the mean of the agents' shares, for one agent from the mean of the agents' entropies.
    The quotient of the two, 1 to N, shows how much the agents' styles differ (gamma, alpha and beta in Jost, "Entropy
    and diversity", Oikos 113, 2006; https://doi.org/10.1111/j.2006.0030-1299.14714.x).

    Args:
        styles: by agent, then by response; see `reasoning_style`.

    Returns:
        None if no response has a known style. Agents without a known style are left out of the effective numbers.
    """
    counts = [Counter(each) for each in styles]
    known = [[count[style] for style in STYLES] for count in counts]
    shares = [[n / sum(row) for n in row] for row in known if sum(row)]
    if not shares:
        return None
    pooled = [math.fsum(column) / len(shares) for column in zip(*shares, strict=True)]
    return Styles(
        shares=[
            {**{style: count[style] / count.total() for style in STYLES}, OTHER: count[None] / count.total()}
            for count in counts
        ],
        effective=math.exp(entropy(pooled)),
        effective_alone=math.exp(math.fsum(map(entropy, shares)) / len(shares)),
    )


def entropy(shares: Sequence[float]) -> float:
    """Shannon entropy -sum p ln p of shares that add up to 1, in nats."""
    return -math.fsum(share * math.log(share) for share in shares if share)
