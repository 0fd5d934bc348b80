"""A seed for every random choice, derived only from what the choice is about."""

import hashlib


def derive_seed(*parts: str | int) -> int:
    """A 63-bit seed from parts such as the seed of the job, the round, the agent and the problem.

    Equal parts give an equal seed on every machine and in every process, so batch size and order do not change the
    sampled texts.
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
