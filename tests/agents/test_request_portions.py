"""Requests are divided into portions for several places. Run: pytest tests/agents/test_request_portions.py"""

from agents.engines.base_model import Base, Bases
from agents.engines.portions import portions
from agents.engines.protocol import Request

ONE = Bases(each=(Base(name="one", sha256="1" * 64),))
REQUESTS = [
    Request([{"role": "user", "content": "x" * length}], adapter, seed=0, max_new_tokens=1, agent=agent)
    for agent, adapter in enumerate(("one", "two", None))
    for length in (5, 300, 7, 280)
]


def test_one_portion_has_all_requests_as_they_come() -> None:
    assert portions(REQUESTS, ONE, number=1, most=2) == [[*range(12)]]


def test_portions_are_whole_of_one_adapter_and_of_similar_length_the_longest_first() -> None:
    found = portions(REQUESTS, ONE, number=6, most=200)
    assert sorted(place for portion in found for place in portion) == [*range(12)]
    assert [{place // 4 for place in portion} for portion in found] == [{0}, {1}, {2}] * 2
    assert [sorted(place % 4 for place in portion) for portion in found] == [[1, 3]] * 3 + [[0, 2]] * 3


def test_a_portion_has_at_most_so_many_requests() -> None:
    assert {len(portion) for portion in portions(REQUESTS, ONE, number=2, most=3)} == {1, 3}
    assert portions([], ONE, number=8, most=3) == []


def test_untuned_agents_share_portions_if_they_share_a_base() -> None:
    untuned = [Request(r.messages, None, seed=0, max_new_tokens=1, agent=r.agent) for r in REQUESTS]
    assert len(portions(untuned, ONE, number=2, most=200)) == 2
    two = Bases(each=(*ONE.each, Base(name="two", sha256="2" * 64)))
    for portion in portions(untuned, two, number=2, most=200):
        assert len({untuned[place].agent % 2 for place in portion}) == 1
