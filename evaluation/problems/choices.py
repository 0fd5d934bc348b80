"""Multiple choice, as in MMLU (Hendrycks et al., 2021, https://arxiv.org/abs/2009.03300): answered by a letter.

    Which of these is prime?

    (A) 4
    (B) 7

    The answer is the letter of the right choice.

The choices are in the field `choices` or `options`, in one of these forms, or in columns:

    ["4", "7"]  or  ["A)4", "B)7"]                                   MMLU, MMLU-Pro, AQuA
    {"text": ["4", "7"], "label": ["1", "2"]}                        ARC
    [{"text": "4", "label": "1"}, {"text": "7", "label": "2"}]       ARC, as JSON Lines
    {"A": "4", "B": "7"}                                             MedQA
    "a ) 4 , b ) 7"                                                  MathQA
    A, B, ...; a, b, ...; option_a, option_b, ...; option1, ...; opa, opb, ...

The answer is a label, a letter, the number of the choice from 0, or its words. `evaluation.answers.extract` finds the
choice in a response; the vote treats a letter like any other answer.
"""

import math
import re
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from evaluation.problems.json_rows import Written, kind
from evaluation.problems.problem import ProblemFileError
from evaluation.problems.published import Form, columns, flat, names
from evaluation.problems.source import Row

LETTERS = "ABCDEFGHIJ"
FIELDS = ("choices", "options")
"""Where choices are looked for, before columns."""

# One letter more, so that a choice too many is noticed.
_ALPHABET = LETTERS + "K"
_COLUMN = re.compile(r"((?:(?:option|choice)[ _-]?|op)?)([a-k]|\d{1,2})", re.IGNORECASE)
_LABEL = re.compile(r"[A-Ja-j]|\d{1,2}")
_LABELLED = re.compile(r"(?:^|[,;|\n])[ \t]*\(?([A-Ka-k])\s?[).:]\s*")
_LETTER = re.compile(r"\(?([A-Ja-j])[).:]?")
_LIKE_CHOICES = re.compile(
    r"(?:choices?|options?|distractors?|alternatives|endings|(?:incorrect|wrong)[ _]?answers?|mc\d_targets)"
    r"[ _-]?(?:[a-j]|\d{1,2})?|op[a-j]",
    re.IGNORECASE,
)
_READ = (
    "a list of texts, an object of text and label, an object such as {'A': ..., 'B': ...}, or a text such as "
    "'A) ..., B) ...'"
)


class Choices(NamedTuple):
    """The choices of a problem, in order; without texts if it is not multiple choice."""

    texts: list[str]
    """Each choice without its label, such as 21 for A)21."""
    labels: list[str]
    """The publisher's names of the choices, such as 1, 2; empty if there are none."""


NONE = Choices([], [])


def choices_of(row: Row, form: Form, where: str) -> Choices:
    """The choices of a row.

    Raises:
        ProblemFileError: there are fewer than 2 or too many choices; one is neither text nor a number; fields look like
            choices but are in no form that is read; or a field that the config or the form names is missing.
    """
    found = _named(row, form.choices, where) if form.choices else _looked_for(row, form.answer, where)
    if not found.texts:
        return NONE
    if not 2 <= len(found.texts) <= len(LETTERS):
        raise ProblemFileError(f"{where}: {len(found.texts)} choices; a problem has 2 to {len(LETTERS)}")
    return found


def _named(row: Row, joined: str, where: str) -> Choices:
    named = names(row, joined)
    missing = [name for name in named if name not in flat(row, name)]
    if missing:
        raise ProblemFileError(
            f"{where}: no field {missing[0]!r}; there are: {columns(row)}. Set problems.choices_field to the one "
            "with the choices, or to those of the single choices, joined with +"
        )
    values = [flat(row, name)[name] for name in named]
    if all(map(blank, values)):
        return NONE
    return _read(values[0], where, joined) if len(values) == 1 else _plain(values, where)


def _looked_for(row: Row, answer_field: str, where: str) -> Choices:
    for field in FIELDS:
        if not blank(row.get(field)):
            return _read(row[field], where, field)
    found = _of_columns(row, str(row.get(answer_field, "")).strip(), where)
    if found.texts:
        return found
    alike = [str(key) for key, value in row.items() if _LIKE_CHOICES.fullmatch(str(key)) and not blank(value)]
    if alike:
        raise ProblemFileError(
            f"{where}: {', '.join(map(repr, alike[:10]))} looks like choices, but they are in no form that is read; "
            f"there are: {columns(row)}. Give {_READ} in 'choices', or columns A, B, ..., or set "
            "problems.choices_field; if they are no choices, give them other names"
        )
    return NONE


def _of_columns(row: Row, answer: str, where: str) -> Choices:
    """The choices in columns such as A, B, ... or option_1, option_2, ...; empty columns at the end are left out."""
    families: dict[tuple[str, bool], dict[str, object]] = {}
    for key, value in row.items():
        column = _COLUMN.fullmatch(str(key))
        if column and (column[2].isalpha() or len(column[1]) > 2):
            families.setdefault((column[1], column[2].isupper()), {})[column[2]] = value
    for (prefix, upper), of in families.items():
        first = next((label for label in ("A", "a", "0", "1") if label in of), None)
        labels = [*takewhile(of.__contains__, _labels_from(first))] if first else []
        while labels and blank(of[labels[-1]]):
            labels.pop()
        values = [of[label] for label in labels]
        # Columns a, b, ... may also be the numbers in a question.
        if not (prefix or upper) and all(map(_is_number, values)) and answer.lower() not in labels:
            continue
        if len(labels) > 1:
            beyond = [prefix + label for label in of if label not in labels and not blank(of[label])]
            if beyond:
                raise ProblemFileError(
                    f"{where}: a choice in {beyond[0]!r}, but the one before it is missing; there are: {columns(row)}"
                )
            return Choices(_plain(values, where).texts, labels)
    return NONE


def _labels_from(first: str) -> list[str]:
    if first.isdigit():
        return [str(number) for number in range(int(first), int(first) + len(_ALPHABET))]
    return [*(_ALPHABET if first.isupper() else _ALPHABET.lower())]


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _read(value: object, where: str, name: str) -> Choices:
    """The choices in the field of this name."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for item in value:
            if not {"text", "label"} <= item.keys():
                keys = ", ".join(map(repr, item)) or "no keys"
                raise ProblemFileError(f"{where}: a choice in {name!r} has {keys}; each must have 'text' and 'label'")
        value = {key: [item[key] for item in value] for key in ("text", "label")}
    if isinstance(value, list):
        return _plain(value, where)
    if isinstance(value, dict) and isinstance(value.get("text"), list) and isinstance(value.get("label"), list):
        texts, labels = _plain(value["text"], where).texts, [str(label).strip() for label in value["label"]]
        if len(texts) != len(labels) or len(set(labels)) < len(labels):
            raise ProblemFileError(
                f"{where}: {name!r} has {len(texts)} choices and the labels {labels!r:.80}; give each its own label"
            )
        return Choices(texts, labels)
    if isinstance(value, dict) and value and all(_LABEL.fullmatch(str(key)) for key in value):
        # Data sets with the same fields in every row have empty ones for the choices that a question lacks.
        kept = {str(key): choice for key, choice in value.items() if not blank(choice)}
        return Choices(_plain([*kept.values()], where).texts, [*kept])
    if isinstance(value, str) and not isinstance(value, Written):
        texts = _of_text(value.strip())
        if texts:
            return Choices(texts, [])
    raise ProblemFileError(f"{where}: {name!r} is {kind(value)} in no form of choices that is read; give {_READ}")


def _plain(values: Sequence[object], where: str) -> Choices:
    """The choices in a list; labels such as A) are taken off if each choice has its own."""
    for choice in values:
        if isinstance(choice, bool) or not isinstance(choice, str | int | float):
            raise ProblemFileError(f"{where}: a choice is {kind(choice)}; each must be text or a number")
    texts = [str(choice).strip() for choice in values]
    found = [_LABELLED.match(text) for text in texts]
    own = [mark[1].upper() if mark and mark.end() < len(mark.string) else "" for mark in found]
    if texts and own == [*LETTERS[: len(texts)]]:
        texts = [text[mark.end() :] if mark else text for text, mark in zip(texts, found, strict=True)]
    return Choices(texts, [])


def _of_text(text: str) -> list[str]:
    """The choices in a text such as `a ) 38 , b ) 27`; empty if it is not of this form."""
    marks: list[re.Match[str]] = []
    for mark in _LABELLED.finditer(text):
        if len(marks) < len(_ALPHABET) and mark[1].upper() == _ALPHABET[len(marks)]:
            marks.append(mark)
    if len(marks) < 2 or marks[0].start():
        return []
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]


def blank(value: object) -> bool:
    """Whether a cell is empty. Parquet has None or NaN for an empty cell."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())


def with_choices(question: str, choices: Choices) -> str:
    """The question that the agents are asked, with the choices."""
    listed = "\n".join(f"({letter}) {text}" for letter, text in zip(LETTERS, choices.texts, strict=False))
    return f"{question}\n\n{listed}\n\nThe answer is the letter of the right choice."


def letter_of(answer: object, choices: Choices, where: str) -> str:
    """The letter of the right choice.

    Args:
        answer: a label, a letter, the words of a choice, or its place from 0 (a number, not text). A number is no place
            if the labels are numbers.
        choices: see `choices_of`.
        where: file, line and field, for the message.

    Raises:
        ProblemFileError: the answer is none of the choices.
    """
    texts, labels = choices
    letters = LETTERS[: len(texts)]
    text = str(answer).strip()
    number = isinstance(answer, int | Written) and not isinstance(answer, bool)
    folded = [label.casefold() for label in labels]
    if text.casefold() in folded:
        return letters[folded.index(text.casefold())]
    numbered = any(label.isdecimal() for label in labels)
    if number and text.isdecimal() and int(text) < len(texts) and not numbered:
        return letters[int(text)]
    if isinstance(answer, str) and not isinstance(answer, Written):
        letter = _LETTER.fullmatch(text)
        if letter and letter[1].upper() in letters:
            return letter[1].upper()
        if texts.count(text) == 1:
            return letters[texts.index(text)]
        mark = _LABELLED.match(text)
        labelled = letters.find(mark[1].upper()) if mark else -1
        if mark and labelled >= 0 and texts[labelled] == text[mark.end() :]:
            return letters[labelled]
    named = f"a label ({', '.join(labels):.80})" if labels else f"a letter from A to {letters[-1]}"
    places = "" if numbered else "the number of the choice from 0, "
    raise ProblemFileError(
        f"{where} is {text!r:.80}, which is none of {len(texts)} choices; give {named}, {places}or its words"
    )
