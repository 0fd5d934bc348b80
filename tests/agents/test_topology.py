"""The agents that each agent reads: worked out by hand, and in a debate of real agents."""

from collections import Counter

import pytest

from agents.debate.topology import TOPOLOGIES


def everyone(topology: str, indices: list[int], seed: int = 0) -> dict[int, list[int]]:
    return {index: TOPOLOGIES[topology](index, indices, seed) for index in indices}


@pytest.mark.parametrize(
    ("topology", "indices", "expected"),
    [
        ("all-to-all", [0, 1, 2], {0: [1, 2], 1: [0, 2], 2: [0, 1]}),
        ("ring", [0, 1, 2], {0: [2], 1: [0], 2: [1]}),
        ("ring", [3, 4, 5], {3: [5], 4: [3], 5: [4]}),  # The indices do not start at 0.
        ("ring", [0, 1], {0: [1], 1: [0]}),
        ("sparse", [0, 1], {0: [1], 1: [0]}),
        ("all-to-all", [4], {4: []}),
        ("ring", [4], {4: []}),
        ("sparse", [4], {4: []}),
    ],
)
def test_who_reads_whom(topology: str, indices: list[int], expected: dict[int, list[int]]) -> None:
    assert everyone(topology, indices) == expected


@pytest.mark.parametrize(("agents", "half"), [(2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)])
def test_sparse_is_half_of_the_others_rounded_up(agents: int, half: int) -> None:
    for seed in range(20):
        for index, others in everyone("sparse", list(range(agents)), seed).items():
            assert len(others) == len(set(others)) == half and others == sorted(others) and index not in others


def test_sparse_draws_evenly_and_by_the_seed_alone() -> None:
    drawn = Counter(TOPOLOGIES["sparse"](1, [0, 1, 2], seed)[0] for seed in range(600))
    assert drawn.keys() == {0, 2} and min(drawn.values()) > 250
    assert everyone("sparse", list(range(7)), 5) == everyone("sparse", list(range(7)), 5)
