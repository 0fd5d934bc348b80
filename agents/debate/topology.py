"""Topologies: who reads whom in a debate.

Fewer edges cost fewer tokens and keep agents from all following the same voice (Li et al., "Improving Multi-Agent
Debate with Sparse Communication Topology", Findings of EMNLP 2024, arXiv 2406.11776). Their neighbours are joined both
ways, which of three agents is all-to-all; so the ring here goes one way.

A topology is a function under a name. Its docstring is what the config says of it:

    @TOPOLOGIES.add("first")
    def first(index: int, indices: Sequence[int], seed: int) -> list[int]:
        \"\"\"the first agent, which itself reads nobody\"\"\"
        return [other for other in indices[:1] if other != index]
"""

import random
from collections.abc import Callable, Sequence

from evaluation.registry import Registry

Topology = Callable[[int, Sequence[int], int], list[int]]
"""From an agent's index, the indices of all agents in order, and a seed for this agent, problem and round, to the
indices of those whose responses of the round before it reads, in order; none if it is alone."""

TOPOLOGIES: Registry[Topology] = Registry("topology")


@TOPOLOGIES.add("all-to-all")
def all_to_all(index: int, indices: Sequence[int], seed: int) -> list[int]:
    """every other agent (paper)"""
    return [other for other in indices if other != index]


@TOPOLOGIES.add("ring")
def ring(index: int, indices: Sequence[int], seed: int) -> list[int]:
    """the agent before it"""
    before = indices[list(indices).index(index) - 1]
    return [before] if before != index else []


@TOPOLOGIES.add("sparse")
def sparse(index: int, indices: Sequence[int], seed: int) -> list[int]:
    """half of the others, drawn anew for each problem and round"""
    others = all_to_all(index, indices, seed)
    return sorted(random.Random(seed).sample(others, (len(others) + 1) // 2))
