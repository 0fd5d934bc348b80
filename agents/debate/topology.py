"""Who reads whom in a debate.

Fewer edges cost fewer tokens and keep agents from all following the same voice (Li et al., "Improving Multi-Agent
Debate with Sparse Communication Topology", Findings of EMNLP 2024, arXiv 2406.11776). Their neighbours are joined both
ways, which of three agents is all-to-all; so the ring here goes one way.
"""

import random
from collections.abc import Sequence

from agents.debate.settings import Topology


def heard(topology: Topology, index: int, indices: Sequence[int], seed: int) -> list[int]:
    """Whose responses of the round before an agent reads, in the order of their index; nobody's if it is alone.

    Args:
        topology: all-to-all: every other agent's. ring: that of the one before it, the last one's for the first.
            sparse: those of half of the others, rounded up.
        index: the agent's.
        indices: of all agents in the debate, in order.
        seed: of the draw of `sparse`.
    """
    others = [other for other in indices if other != index]
    if topology == "ring" and others:
        return [indices[list(indices).index(index) - 1]]
    if topology == "sparse":
        return sorted(random.Random(seed).sample(others, (len(others) + 1) // 2))
    return others
