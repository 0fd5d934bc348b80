"""The choice in a response to a multiple-choice problem, and the vote. Run: pytest tests/evaluation/test_choices.py"""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.answers.equality import equivalent
from evaluation.answers.extract import extract_answer
from evaluation.answers.vote import tally

CHOSEN = [
    "So \\boxed{B}.",
    "So \\boxed{(B)}.",
    "So \\boxed{(B) mitosis}",
    "So \\boxed{B) 0.5}",
    "The answer is (B).",
    "The answer is (B) because cells divide. The others are wrong.",
    "The correct answer is B) mitosis.",
    "The answer is B because cells divide.",
    "The answer is B, since cells divide.",
    "the final answer is option B.",
    "The answer is choice (B), mitosis.",
    "The answer is:\n\n(B)",
    "The answer is **(B) mitosis**.",
    "#### B",
    "#### (B)",
    "Answer: B",
    "**Answer:** B",
    "Answer: (B) mitosis",
    "ANSWER: B.",
    "It cannot be A. The correct option is B.",
    "Option A is wrong, so the right choice is (B), not (C).",
    "Cells divide, which is (B)",
    "Cells divide (B).",
    "**(B)**",
]


@pytest.mark.parametrize("text", CHOSEN)
def test_the_letter_is_found(text: str) -> None:
    assert extract_answer(text) == "B"


@pytest.mark.parametrize(
    "text", ["\\boxed{\\text{B}}", "\\boxed{\\textbf{(B)}\\ 0.5}", "\\boxed{B. 0.5}", "\\boxed{B: 4}"]
)
def test_a_letter_with_its_words_is_the_letter(text: str) -> None:
    answer = extract_answer(text)
    assert equivalent(answer, "B") and equivalent("(b)", answer)
    assert not equivalent(answer, "C")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\\boxed{(A, B)}", "(A, B)"),
        ("\\boxed{(A)(B)}", "(A)(B)"),
        ("\\boxed{(A) and (C)}", "(A) and (C)"),
        ("\\boxed{A = 5}", "A = 5"),
        ("\\boxed{A: 3, B: 4}", "A: 3, B: 4"),
        ("\\boxed{Bob}", "Bob"),
        ("The answer is A dog.", "A dog"),
        ("The answer is I do not know.", "I do not know"),
        ("Answer: A = 5", "A = 5"),
        ("Answer: 5", "5"),
        ("Answer: Bob", "Bob"),
        ("Answer: B(2)", "B(2)"),
        ("I choose A.", None),
        ("See (B) above.", None),
    ],
)
def test_what_is_no_choice_stays_as_it_is(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer


@pytest.mark.parametrize(("a", "b"), [("B", "C. 0.5"), ("A: 3, B: 4", "A: 3, B: 5"), ("x", "(B) x"), ("mitosis", "B")])
def test_not_the_same_choice(a: str, b: str) -> None:
    assert not equivalent(a, b)
    assert not equivalent(b, a)


def test_the_vote_is_by_letter() -> None:
    texts = ["\\boxed{C}", "The answer is (B) because cells divide.", "Answer: B", "\\boxed{B. mitosis}", "no idea"]
    vote = tally([extract_answer(text) for text in texts], seed=1)
    assert (vote.answer, vote.votes, vote.voters, vote.tied) == ("B", 3, 4, False)
    assert vote.agrees == [False, True, True, True, False]


@pytest.mark.parametrize("piece", ["Answer: ", "answer is (", "(B) ", "option ", "Answer:**", "(B", "answer" + " " * 9])
def test_finding_a_choice_in_a_million_repeats_is_quick(piece: str) -> None:
    start = time.process_time()
    extract_answer(piece * 1_000_000)
    extract_answer("The answer is " + piece * 20)
    assert time.process_time() - start < 1.0


@given(st.text(alphabet="answer is option (ABC):.*\n", max_size=120))
def test_any_text_has_an_answer_that_fits_or_none(text: str) -> None:
    answer = extract_answer(text)
    assert answer is None or (0 < len(answer) <= 200 and equivalent(answer, answer))
