r"""Reads problems from a file or data set, one problem per line or row, in the forms in which they are published.

    GSM8K     {"question": "Natalia sold clips to 48 of ...", "answer": "Natalia sold 48/2 = 24 ... #### 72"}
    MATH      {"problem": "Compute ...", "solution": "... $\\boxed{3}$.", "level": "Level 2", "type": "Algebra"}
    SVAMP     {"Body": "A pack has 8 pens.", "Question": "How many are in 2 packs?", "Answer": 16.0}
    ASDiv     {"body": "A pack has 8 pens.", "question": "How many are in 2 packs?", "answer": "16 (pens)"}
    MAWPS     {"sQuestion": "A pack has 8 pens. How many are in 2 packs?", "lSolutions": [16.0]}
    MMLU      {"question": "Which of ...", "choices": ["0", "4", "2", "6"], "answer": 1, "subject": "abstract_algebra"}
    MMLU-Pro  {"question": "Which of ...", "options": ["0", "4", "2", "6"], "answer": "B", "answer_index": 1}
    ARC       {"question": "Which of ...", "choices": {"text": ["ice", "fog"], "label": ["1", "2"]}, "answerKey": "2"}
    AQuA      {"question": "What is ...", "options": ["A)21", "B)21.5"], "correct": "A", "rationale": "..."}

`evaluation.problems.published` lists these forms and more. The answer field may hold the answer alone, a worked
solution with the answer after `####` (GSM8K), a solution with the answer in \boxed{...} (MATH), or a JSON object; for
multiple choice, see `evaluation.problems.choices`. Error messages name the file and line, and what would be right.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from evaluation.problems.choices import blank, choices_of, letter_of, with_choices
from evaluation.problems.json_rows import canonical, kind
from evaluation.problems.problem import MAX_QUESTION_CHARS, Located, Problem, ProblemFileError
from evaluation.problems.published import DEFAULT, Fields, Form, columns, flat, form_of, names
from evaluation.problems.repeated import Repeats, without_repeats
from evaluation.problems.rows import file_rows
from evaluation.problems.solutions import marked, reference
from evaluation.problems.source import Row

MAX_REFERENCE_CHARS = 1_000

_NUMBER = re.compile(r"\b(?:N_|number)(\d{1,2})\b")
_CHOICE = re.compile(r"\(?[A-J]\)?")
_FIRST_CHOICE, _SECOND_CHOICE = re.compile(r"\bA\b|\(a\)"), re.compile(r"\bB\b|\(b\)")


def read_problems(
    path: str,
    question_field: str = DEFAULT.question,
    answer_field: str = DEFAULT.answer,
    choices_field: str | None = DEFAULT.choices,
    repeats: Repeats = "refuse",
) -> list[Located]:
    """All problems of a file, in order.

    Args:
        path: see `evaluation.problems.rows.file_rows`.
        question_field: name of the field or column with the question, text of 1..MAX_QUESTION_CHARS characters, or of
            several that are put together, such as Body+Question.
        answer_field: the same for the reference answer: text, a number, or an object or a list of texts or objects,
            which becomes JSON text.
        choices_field: the same for the choices; None: they are looked for, see `evaluation.problems.choices`.
        repeats: see `evaluation.problems.repeated.without_repeats`.

    Raises:
        ProblemFileError: the file does not exist, is of another kind or has no problems; a line cannot be read; a field
            is missing, blank or too long; a question lacks its choices, or is there twice (see `same_question`).
    """
    fields = Fields(question_field, answer_field, choices_field)
    return located_problems(path, file_rows(path), fields, repeats)


def located_problems(
    source: str, rows: Iterable[tuple[str, Row]], fields: Fields, repeats: Repeats = "refuse"
) -> list[Located]:
    """The problems of rows; fields and errors as for `read_problems`.

    Args:
        source: the name of the file or data set, for messages.
    """
    located = [Located(_problem(row, where, form_of(row, fields)), where) for where, row in rows]
    if not located:
        raise ProblemFileError(f"{source}: no problems in it; it needs at least one line with a question and an answer")
    return without_repeats(source, located, repeats)


def _problem(row: Row, where: str, form: Form) -> Problem:
    question = _question(row, form, where)
    choices = choices_of(row, form, where)
    found = _field(row, form.answer, where, "answer")
    if form.listed:
        found = _only(found, f"{where}: {form.answer!r}")
    written = _json(found, f"{where}: {form.answer!r}")
    answer = _text(found if written is None else written, f"{where}: {form.answer!r}", "answer")
    if choices.texts:
        question = with_choices(question, choices)
        answer = letter_of(found, choices, f"{where}: {form.answer!r}")
    else:
        _refuse_missing_choices(row, form, question, answer, where)
        if form.marked and marked(answer) is None:
            raise ProblemFileError(
                f"{where}: {form.answer!r} has no answer in \\boxed{{}}; put it there, or after ####"
            )
        if written is None:
            answer = reference(_without_unit(answer) if form.unit else answer)
    if len(question) > MAX_QUESTION_CHARS:
        raise ProblemFileError(
            f"{where}: the question has {len(question)} characters; at most {MAX_QUESTION_CHARS} are allowed"
        )
    if not answer:
        raise ProblemFileError(f"{where}: {form.answer!r} has nothing after #### or in \\boxed{{}}")
    if len(answer) > MAX_REFERENCE_CHARS:
        raise ProblemFileError(
            f"{where}: the answer has {len(answer)} characters, at most {MAX_REFERENCE_CHARS} are allowed; "
            "in a worked solution, put the answer after #### or in \\boxed{}"
        )
    return Problem(question=question, answer=answer)


def _question(row: Row, form: Form, where: str) -> str:
    """The question, from one field or from several; of several, blank ones are left out."""
    named = names(row, form.question)
    values = {name: _field(row, name, where, "question") for name in named}
    filled = [name for name in named if not blank(values[name])] or named
    question = " ".join(_text(values[name], f"{where}: {name!r}", "question") for name in filled)
    return _with_numbers(question, row, form.numbers, where) if form.numbers else question


def _field(row: Row, name: str, where: str, role: str) -> object:
    """The value of one field of a row."""
    within = flat(row, name)
    if name in within:
        return within[name]
    near = get_close_matches(name.lower(), {str(key).lower(): key for key in row}, n=1)
    guess = next((str(key) for key in row if near and str(key).lower() == near[0]), None)
    nearest = f", the nearest {guess!r}" if guess else ""
    raise ProblemFileError(
        f"{where}: no field {name!r}; there are: {columns(row)}{nearest}. Set problems.{role}_field to the one with "
        f"the {role}"
    )


def _json(value: object, what: str) -> str | None:
    """An object, or a list of texts or objects, as JSON; None for any other value."""
    # A list of numbers may be an interval or several solutions, and nothing says which, so it must be written as text.
    if not isinstance(value, dict) and not (
        isinstance(value, list) and any(type(each) in (str, dict) for each in value)
    ):
        return None
    try:
        return canonical(value)
    except ValueError as error:
        raise ProblemFileError(f"{what} cannot be read as JSON: {error}") from error


def _text(value: object, what: str, role: str) -> str:
    """The text of a field; `what` is its place and name."""
    if isinstance(value, (bool, list, dict, bytes)):
        raise ProblemFileError(f"{what} is {kind(value)}; the {role} must be text or a number")
    text = "" if blank(value) else str(value).strip()
    if not text:
        raise ProblemFileError(f"{what} is blank; every problem needs one")
    if not text.isprintable() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ProblemFileError(f"{what} holds half a character (a lone surrogate); write the whole one")
    return text


def _only(value: object, what: str) -> object:
    """The item of a list of one; another value as it is."""
    if not isinstance(value, list):
        return value
    if len(value) != 1:
        raise ProblemFileError(f"{what} has {len(value)} answers; a problem has one")
    return value[0]


def _with_numbers(question: str, row: Row, field: str, where: str) -> str:
    """The question with its numbers in place of N_00, N_01, ... or number0, number1, ..."""
    numbers = re.findall(r"[^\s,\[\]]+", str(row[field]))

    def number(mark: re.Match[str]) -> str:
        if int(mark[1]) >= len(numbers):
            raise ProblemFileError(f"{where}: the question has {mark[0]}, but {field!r} has {len(numbers)} numbers")
        return str(numbers[int(mark[1])])

    return _NUMBER.sub(number, question)


def _without_unit(answer: str) -> str:
    """9 of `9 (apples)`; an answer with other brackets as it is."""
    amount, _, unit = answer.partition("(")
    has_unit = amount.strip() and unit.find(")") == len(unit) - 1 and unit[:1].isalpha()
    return amount.strip() if has_unit else answer


def _refuse_missing_choices(row: Row, form: Form, question: str, answer: str, where: str) -> None:
    """Refuse a question whose answer is a choice. A question may have the choices in its words: Is it A or B?"""
    first = _FIRST_CHOICE.search(question)
    asked = first is not None and _SECOND_CHOICE.search(question, first.end())
    lettered = _CHOICE.fullmatch(answer) and not form.letters and not asked
    if form.choices or lettered:
        raise ProblemFileError(
            f"{where}: {form.answer!r} is {answer!r:.80}, a choice, but the row has no choices; there are: "
            f"{columns(row)}. Set problems.choices_field to the one with the choices; if the letter itself is the "
            f"answer, write \\boxed{{{answer:.20}}}"
        )
