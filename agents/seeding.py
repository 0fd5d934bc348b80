"""One seed for every random choice, derived from what the choice is about and from nothing else."""

import hashlib


def derive_seed(*parts: str | int) -> int:
    """A 63-bit seed from the run seed, the stream, the round, the agent, the problem, ...

    Equal parts give an equal seed on every machine and in every process, so batch size and order change no text.
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
