"""The number of problems that a preview debates."""

import pytest

from agents.preview.forecast import usual_problems


@pytest.mark.parametrize(
    ("training", "agents", "expected"),
    [(300, 3, 66), (300, 2, 100), (40, 3, 20), (10, 3, 10), (300, 64, 20), (100, 3, 33)],
)
def test_a_batch_of_one_agent(training: int, agents: int, expected: int) -> None:
    assert usual_problems(training, agents=agents, batch_rows=200) == expected
