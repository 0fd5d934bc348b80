"""Requests are divided into portions for several places. Run: pytest tests/agents/test_portions.py"""

from agents.engines.portions import portions
from agents.engines.protocol import Request

REQUESTS = [
    Request([{"role": "user", "content": "x" * length}], adapter, seed=0, max_new_tokens=1, agent=agent)
    for agent, adapter in enumerate(("one", "two", None))
    for length in (5, 300, 7, 280)
]


def test_one_portion_has_all_requests_as_they_come() -> None:
    assert portions(REQUESTS, number=1, most=2) == [[*range(12)]]


def test_portions_are_whole_of_one_adapter_and_of_similar_length_the_longest_first() -> None:
    found = portions(REQUESTS, number=6, most=200)
    assert sorted(place for portion in found for place in portion) == [*range(12)]
    assert [{place // 4 for place in portion} for portion in found] == [{0}, {1}, {2}] * 2
    assert [sorted(place % 4 for place in portion) for portion in found] == [[1, 3]] * 3 + [[0, 2]] * 3


def test_a_portion_has_at_most_so_many_requests() -> None:
    assert {len(portion) for portion in portions(REQUESTS, number=2, most=3)} == {1, 3}
    assert portions([], number=8, most=3) == []
