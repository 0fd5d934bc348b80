"""Multiple choice, as in MMLU (Hendrycks et al., 2021, https://arxiv.org/abs/2009.03300): answered by a letter.

    Which of these is prime?

    (A) 4
    (B) 7

    The answer is the letter of the right choice.

The choices are a list in the field `choices`, or are in the columns A, B, ... The answer is a letter, the number of the
choice from 0, or its words. `evaluation.answers.extract` finds the choice in a response; the vote treats a letter like
any other answer.
"""

from collections.abc import Sequence

from evaluation.problems.problem import ProblemFileError
from evaluation.problems.rows import Written, kind
from evaluation.problems.source import Row

LETTERS = "ABCDEFGHIJ"


def choices_of(row: Row, where: str) -> list[str]:
    """The choices of a row, in order; an empty list if the problem is not multiple choice.

    Raises:
        ProblemFileError: there are fewer than 2 or too many choices, or one is neither text nor a number.
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
    """The question that the agents are asked, with the choices."""
    listed = "\n".join(f"({letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
    return f"{question}\n\n{listed}\n\nThe answer is the letter of the right choice."


def letter_of(answer: object, choices: Sequence[str], where: str) -> str:
    """The letter of the right choice.

    Args:
        answer: a letter, the words of a choice, or its place from 0 (a number, not text).
        choices: see `choices_of`.
        where: file, line and field, for the message.

    Raises:
        ProblemFileError: the answer is none of the choices.
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
        f"{where} is {text!r:.80}, which is none of {len(choices)} choices; give a letter from A to {letters[-1]}, "
        "the number of the choice from 0, or its words"
    )
