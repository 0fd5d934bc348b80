"""The measures of diversity on cases worked out by hand. Run: pytest tests/evaluation/test_diversity_measures.py"""

import math

import numpy as np
import pytest

from evaluation.measures.diversity import consensus, embedding_dissimilarity, kl_divergence, nll_of_others, nll_of_own

# Two agents, two problems. [i, j, p]: nats of agent j's response to problem p under agent i.
TOKENS = np.array([[2.0, 4.0], [1.0, 3.0]])
NLL = np.array(
    [
        [[1.0, 2.0], [3.0, 5.0]],
        [[6.0, 9.0], [0.5, 1.5]],
    ]
)


def test_nll_of_others_is_the_mean_over_agents_of_a_mean_over_tokens() -> None:
    found = nll_of_others(NLL, TOKENS)
    assert found is not None
    # Agent 0 on agent 1's responses: (3+5)/(1+3) = 2. Agent 1 on agent 0's responses: (6+9)/(2+4) = 2.5.
    assert found.value == pytest.approx(2.25)
    # Linearised: p=0: mean of 2*(3-2*1)/4 and 2*(6-2.5*2)/6 = (1/2 + 1/3)/2 = 5/12; p=1 the opposite.
    # Standard deviation of +-5/12 with n-1 = 1: 5/12*sqrt(2); over sqrt(2): 5/12.
    assert found.standard_error == pytest.approx(5 / 12)


def test_nll_of_own_reads_the_diagonal() -> None:
    found = nll_of_own(NLL, TOKENS)
    assert found is not None
    assert found.value == pytest.approx(((1 + 2) / 6 + (0.5 + 1.5) / 4) / 2)


def test_nll_of_three_agents_pools_the_others_tokens() -> None:
    nll = np.zeros((3, 3, 1))
    nll[0, 1, 0], nll[0, 2, 0] = 4.0, 2.0
    found = nll_of_others(nll, np.array([[7.0], [1.0], [5.0]]))
    assert found is not None
    # Agent 0 has (4+2)/(1+5) = 1, the other agents have 0. With one problem, the standard error is unknown.
    assert (found.value, found.standard_error) == (pytest.approx(1 / 3), 0.0)


def test_with_as_many_tokens_everywhere_the_error_is_that_of_a_plain_mean() -> None:
    rng = np.random.default_rng(1)
    nll = rng.exponential(size=(3, 3, 50))
    found = nll_of_others(nll, np.ones((3, 50)))
    per_problem = np.array([[nll[i, j] for j in range(3) if j != i] for i in range(3)]).mean(axis=(0, 1))
    assert found is not None
    assert found.value == pytest.approx(per_problem.mean())
    assert found.standard_error == pytest.approx(per_problem.std(ddof=1) / math.sqrt(50))


def test_the_error_of_a_ratio_is_that_of_repeated_draws() -> None:
    rng = np.random.default_rng(2)

    def draw() -> tuple[float, float]:
        tokens = rng.integers(5, 60, size=(2, 80)).astype(float)
        nll = np.stack([tokens * rng.gamma(4.0, 0.2, size=(2, 80)) for _ in range(2)])
        found = nll_of_others(nll, tokens)
        assert found is not None
        return found.value, found.standard_error

    values, errors = zip(*(draw() for _ in range(2_000)), strict=True)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.06)


def test_an_impossible_response_of_ones_own_does_not_touch_the_others() -> None:
    nll = NLL.copy()
    nll[0, 0, 0] = math.inf
    assert nll_of_others(nll, TOKENS) == nll_of_others(NLL, TOKENS)


def test_kl_is_the_mean_over_ordered_pairs_on_the_first_ones_text() -> None:
    kl = np.array(
        [
            [[0.0, 0.0], [1.0, 2.0]],
            [[8.0, 0.0], [0.0, 0.0]],
        ]
    )
    found = kl_divergence(kl, TOKENS)
    assert found is not None
    # Pair (0, 1) on agent 0's text: 3/6. Pair (1, 0) on agent 1's text: 8/4. The diagonal does not count.
    assert found.value == pytest.approx((0.5 + 2.0) / 2)
    # p=0: mean of 2*(1-.5*2)/6 = 0 and 2*(8-2*1)/4 = 3: 1.5; p=1 the opposite.
    assert found.standard_error == pytest.approx(1.5)


def test_embedding_dissimilarity_of_right_angles_opposites_and_lengths() -> None:
    first = [[1.0, 0.0], [2.0, 0.0]]
    second = [[0.0, 5.0], [7.0, 0.0]]
    third = [[-3.0, 0.0], [1.0, 1.0]]
    found = embedding_dissimilarity(np.array([first, second, third]))
    assert found is not None
    # Problem 0: 1-0, 1-(-1) and 1-0, with mean 4/3. Problem 1: once 1-1 and twice 1-1/sqrt(2).
    one, two = 4 / 3, 2 * (1 - 1 / math.sqrt(2)) / 3
    assert found.value == pytest.approx((one + two) / 2)
    assert found.standard_error == pytest.approx(abs(one - two) / 2)


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
def test_an_embedding_without_direction_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="zero or not finite"):
        embedding_dissimilarity(np.array([[[1.0, 0.0]], [[bad, 0.0]]]))


def test_one_agent_has_no_diversity_between_agents() -> None:
    assert nll_of_others(np.ones((1, 1, 3)), np.ones((1, 3))) is None
    assert kl_divergence(np.zeros((1, 1, 3)), np.ones((1, 3))) is None
    assert embedding_dissimilarity(np.ones((1, 3, 2))) is None
    own = nll_of_own(np.ones((1, 1, 3)), np.ones((1, 3)))
    assert own is not None and own.value == 1.0


def test_an_agent_that_says_nothing_leaves_nothing_to_measure() -> None:
    silent = np.array([[2.0, 4.0], [0.0, 0.0]])
    assert nll_of_others(NLL, silent) is None
    assert nll_of_own(NLL, silent) is None
    assert kl_divergence(NLL, silent) is None


def test_consensus_counts_equal_answers_and_those_who_gave_none() -> None:
    found = consensus([["1/2", "0.5", "3"], ["1", "2", "3"], [None, None, "7"], [None, None, None]])
    shares = [2 / 3, 1 / 3, 1 / 3, 0.0]
    assert found.value == pytest.approx(sum(shares) / 4)
    assert found.standard_error == pytest.approx(np.std(shares, ddof=1) / 2)
    with pytest.raises(ValueError, match="no values"):
        consensus([])
