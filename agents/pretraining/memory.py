"""What the embedded base model remembers of products, some of it wrong.

Products of two factors from 11 on are remembered and not worked out, by each style of reasoning in a way of its own:

    11*12    right in every style
    14*17    wrong in one style: a vote over several styles sees through it
    13*19    wrong in every style, in each in another way: no vote sees through it, but who compares answers sees that
             something is wrong, and who works the product out finds what

Which product is of which kind is drawn by the hash of its factors, whatever their order.
"""

import hashlib

from agents.pretraining.solutions import STYLES

HARD = 11
"""Smallest factor of a product that is remembered; of others the model is sure."""
WRONG_IN_ONE, WRONG_IN_ALL = 0.30, 0.35
"""Shares of the products that are remembered."""
_AMISS = dict(zip(STYLES, (-10, 10, 20), strict=True))
"""How far off a style is where it is wrong."""


def remembered(style: str, b: int, c: int) -> int:
    """b*c as a response in this style has it."""
    low, high = sorted((b, c))
    if low < HARD:
        return b * c
    digest = hashlib.sha256(f"{low}*{high}".encode()).digest()
    drawn, one = int.from_bytes(digest[:4]) / 2**32, STYLES[digest[4] % len(STYLES)]
    wrong = drawn < WRONG_IN_ALL or (drawn < WRONG_IN_ALL + WRONG_IN_ONE and style == one)
    return b * c + wrong * _AMISS[style]
