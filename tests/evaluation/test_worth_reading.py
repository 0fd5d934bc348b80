"""The course of a debate, on cases worked out by hand. Run: pytest tests/evaluation/test_worth_reading.py"""

import pytest

from evaluation.measures.worth_reading import course, in_turns


@pytest.mark.parametrize(
    ("kind", "right", "first", "last"),
    [
        ("corrected", True, "3 3 2", "2 3 2"),
        ("spoiled", False, "2 2 3", "3 3 2"),
        ("split", True, "2 2 3", "2 2 3"),
        ("split", False, "3 3 2", "3 3 2"),
        ("agreed", True, "2 2 3", "2 2 2"),
        ("agreed", False, "3 3 2", "3 3 3"),
        ("split", False, "- - -", "- - -"),
        ("split", True, "2 2 2", "2 2 -"),
        ("split", None, "3 3 3", "2 3 4"),  # The tie is broken at random.
        ("agreed", False, "2 3 4", "3 3 3"),  # The first vote is a tie, so no right consensus was lost.
    ],
)
def test_kinds(kind: str, right: bool | None, first: str, last: str) -> None:
    rounds = [[(None if a == "-" else a, 1.0) for a in answers.split()] for answers in (first, last)]
    went = course(rounds, "an id", "2", seed=1)
    assert went.kind == kind
    assert right is None or went.right == right
    assert len(went.votes) == 2 and went.vote == went.votes[1]


def test_weights_decide_the_vote() -> None:
    first = [("3", 1.0), ("3", 1.0), ("2", 1.0)]
    for weights, kind in (((0.2, 0.3, 0.9), "corrected"), ((0.5, 0.6, 0.9), "split")):
        last = [(answer, weight) for (answer, _), weight in zip(first, weights, strict=True)]
        assert course([first, last], "an id", "2", seed=1).kind == kind


def test_one_of_each_kind_in_turns() -> None:
    by_kind = {"a": [1, 2, 3], "b": [], "c": [4, 5]}
    assert in_turns(by_kind, 4) == [1, 4, 2, 5]
    assert in_turns(by_kind, 99) == [1, 4, 2, 5, 3]
    assert in_turns(by_kind, 0) == []
