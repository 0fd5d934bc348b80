"""The products that the embedded base model recalls from memory, some of them wrong.

Products of two factors of at least 11 are recalled and not worked out, and each style of reasoning recalls its own
value:

    11*12    right in every style
    14*17    wrong in one style: a vote over several styles corrects it
    13*19    wrong in every style, each with another value: no vote corrects it, but different answers show that
             there is an error, and working the product out finds it

The hash of the two factors, in any order, decides the kind of a product.
"""

import hashlib

from agents.pretraining.solutions import STYLES

HARD = 11
"""Smallest factor of a product that is recalled; other products are always right."""
WRONG_IN_ONE, WRONG_IN_ALL = 0.30, 0.35
"""Shares of the recalled products that are wrong in one style, and in all styles."""
_AMISS = dict(zip(STYLES, (-10, 10, 20), strict=True))
"""The error of each style in a product that it recalls wrongly."""


def remembered(style: str, b: int, c: int) -> int:
    """The value of b*c in a response of this style."""
    low, high = sorted((b, c))
    if low < HARD:
        return b * c
    digest = hashlib.sha256(f"{low}*{high}".encode()).digest()
    drawn, one = int.from_bytes(digest[:4]) / 2**32, STYLES[digest[4] % len(STYLES)]
    wrong = drawn < WRONG_IN_ALL or (drawn < WRONG_IN_ALL + WRONG_IN_ONE and style == one)
    return b * c + wrong * _AMISS[style]
