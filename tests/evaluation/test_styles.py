"""Styles of reasoning, and the number of styles in a society. Run: pytest tests/evaluation/test_styles.py"""

import math
import random
import re
import time

import pytest

from agents.pretraining import solutions
from evaluation.measures.styles import OTHER, STYLES, entropy, reasoning_style, style_shares
from evaluation.problems.arithmetic import draw_values


@pytest.mark.parametrize("slip", [False, True])
@pytest.mark.parametrize("style", solutions.STYLES)
def test_every_solution_of_the_embedded_model_is_told_by_its_operations(style: str, slip: bool) -> None:
    rng = random.Random(style)
    for _ in range(2_000):
        text = solutions.write(draw_values(rng, 30), style, solutions.Writer(rng), slip).text
        assert reasoning_style(text) == style, text
        bare = re.sub(r"[A-Z][a-z]+( [a-z]+)*:?", "", text)
        assert reasoning_style(bare) == style, bare


def test_wrong_numbers_do_not_hide_a_style() -> None:
    rng = random.Random(3)
    for style in STYLES:
        for _ in range(500):
            writer = solutions.Writer(rng, corruption=0.1)
            assert reasoning_style(solutions.write(draw_values(rng, 30), style, writer, False).text) == style


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("First 17 \u00d7 23 = 391.\nThen 12 \u00d7 9 = 108.\n5 + 391 + 8 - 108 = 296", "products"),
        ("$17 \\times 23 = 391$, $12 \\cdot 9 = 108$, so **5 + 391 = 396**", "products"),
        ("17*23=391\n5+391=396\n396+8=404\n12*9=108\n404-108=296", "steps"),
        ("Take 50*40=2,000, 5+2,000=2,005; 12*9=108; 2,005\u2212108=1,897", "steps"),
        ("5 + 8 = 13; 17*23 = 391; 12*9 = 108; 391 + 13 = 404; 404 - 108 = 296", "groups"),
        ("17*23=391. 5+8=13. 391+13=404. 12*9=108. 404-108=296.", "groups"),
        ("15+7 is 22. 3*5=15. 15+7=22. 22+15=37. 2*3=6.", "steps"),
        # The first summand alone is also 15; the style shows in the sum that starts again from the product.
        ("3*5=15. 7+15=22. 15+22=37. 2*3=6. 37-6=31.", "groups"),
        ("5+17*23+8-12*9=296", None),
        ("5+17*23+8-12*9=5+391+8-108=296", None),
        ("17*23=391. 12*9=108.", None),
        ("17*23=391. 5+391=396. 396+8=404.", None),
        ("The answer is \\boxed{296}.", None),
        ("", None),
    ],
)
def test_reasoning_style(text: str, style: str | None) -> None:
    assert reasoning_style(text) == style


@pytest.mark.parametrize("piece", [" ", "1", "1+", "1*", "=", "- ", "1,000", "\\times", "1+1=", " *"])
def test_a_million_repeats_are_quick(piece: str) -> None:
    start = time.process_time()
    reasoning_style(piece * 1_000_000)
    assert time.process_time() - start < 1.0


def test_shares_and_effective_numbers_of_specialised_agents() -> None:
    found = style_shares([["products"] * 4, ["steps"] * 3 + [None]])
    assert found is not None
    assert found.shares[0] == {"products": 1.0, "steps": 0.0, "groups": 0.0, OTHER: 0.0}
    assert found.shares[1] == {"products": 0.0, "steps": 0.75, "groups": 0.0, OTHER: 0.25}
    # Each agent has another style, so the society has two styles and an agent has one.
    assert (found.effective, found.effective_alone) == (pytest.approx(2.0), pytest.approx(1.0))


def test_agents_that_mix_alike_are_no_more_together_than_alone() -> None:
    found = style_shares([["products", "groups", "steps"]] * 3)
    assert found is not None
    assert (found.effective, found.effective_alone) == (pytest.approx(3.0), pytest.approx(3.0))


def test_effective_numbers_by_hand() -> None:
    found = style_shares([["products", "products", "products", "steps"], ["steps", "steps"], [None, None]])
    assert found is not None
    # The shares of the styles over the two agents with a style are 3/8 and 5/8.
    pooled = -(3 / 8) * math.log(3 / 8) - (5 / 8) * math.log(5 / 8)
    alone = (-(3 / 4) * math.log(3 / 4) - (1 / 4) * math.log(1 / 4)) / 2
    assert found.effective == pytest.approx(math.exp(pooled))
    assert found.effective_alone == pytest.approx(math.exp(alone))
    assert found.shares[2][OTHER] == 1.0


def test_without_any_style_there_is_nothing_to_count() -> None:
    assert style_shares([[None, None], [None]]) is None
    assert style_shares([[], []]) is None


def test_entropy() -> None:
    assert entropy([0.5, 0.25, 0.25]) == pytest.approx(1.5 * math.log(2))
    assert entropy([1.0, 0.0]) == 0.0
