"""Topologies: who reads whom in a debate.

With fewer edges, a debate costs fewer tokens, and agents are less likely to all follow the same agent (Li et al.,
"Improving Multi-Agent Debate with Sparse Communication Topology", Findings of EMNLP 2024, arXiv 2406.11776). In that
paper, neighbours read each other. With three agents that is all-to-all, so the ring here goes one way.

A topology is a function that is registered under a name. Its docstring is its description in the config:

    @TOPOLOGIES.add("first")
    def first(index: int, indices: Sequence[int], seed: int) -> list[int]:
        \"\"\"the first agent, which itself reads nobody\"\"\"
        return [other for other in indices[:1] if other != index]
"""

import random
from collections.abc import Callable, Sequence

from evaluation.registry import Registry

Topology = Callable[[int, Sequence[int], int], list[int]]
"""Takes an agent's index, the indices of all agents in order, and a seed for this agent, problem and round.

Returns the indices, in order, of the agents whose responses of the previous round it reads; empty if it is alone."""

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
