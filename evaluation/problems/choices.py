"""Multiple choice, as in MMLU (Hendrycks et al., 2021, https://arxiv.org/abs/2009.03300): answered by a letter.

    Which of these is prime?

    (A) 4
    (B) 7

    The answer is the letter of the right choice.

The choices are a list in the field `choices`, or stand in columns A, B, ... The answer is a letter, the number of the
choice from 0, or its words. `evaluation.answers.extract` finds what a response chooses; letters are put to the vote as
any answer is.
"""

from collections.abc import Sequence

from evaluation.problems.problem import ProblemFileError
from evaluation.problems.rows import Written, kind
from evaluation.problems.source import Row

LETTERS = "ABCDEFGHIJ"


def choices_of(row: Row, where: str) -> list[str]:
    """The choices of a row, in their order; none for a problem of another kind.

    Raises:
        ProblemFileError: fewer than 2, more than the letters that there are, or one that is no text or number.
    """
    listed = row.get("choices")
    if not isinstance(listed, list):
        first_missing = next((place for place, letter in enumerate(LETTERS) if letter not in row), len(LETTERS))
        listed = [row[letter] for letter in LETTERS[:first_missing]]
        if len(listed) < 2:
            return []
    if not 2 <= len(listed) <= len(LETTERS):
        raise ProblemFileError(f"{where}: {len(listed)} choices; a problem has 2 to {len(LETTERS)}")
    for choice in listed:
        if isinstance(choice, bool) or not isinstance(choice, str | int | float):
            raise ProblemFileError(f"{where}: a choice is {kind(choice)}; each must be text or a number")
    return [str(choice).strip() for choice in listed]


def with_choices(question: str, choices: Sequence[str]) -> str:
    """What the agents are asked."""
    listed = "\n".join(f"({letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
    return f"{question}\n\n{listed}\n\nThe answer is the letter of the right choice."


def letter_of(answer: object, choices: Sequence[str], where: str) -> str:
    """The letter of the right choice.

    Args:
        answer: a number, as a number and not as text, is the place of the choice from 0.
        choices: see `choices_of`.
        where: names the field, for the message.

    Raises:
        ProblemFileError: it is none of these choices.
    """
    letters = LETTERS[: len(choices)]
    text = str(answer).strip()
    if isinstance(answer, int | Written) and text.isdecimal() and int(text) < len(choices):
        return letters[int(text)]
    if isinstance(answer, str) and not isinstance(answer, Written):
        if len(text) == 1 and text.upper() in letters:
            return text.upper()
        if choices.count(text) == 1:
            return letters[list(choices).index(text)]
    raise ProblemFileError(
        f"{where} is {text!r:.80}, which is none of {len(choices)} choices; it takes a letter from A to {letters[-1]}, "
        "the number of the choice from 0, or its words"
    )
