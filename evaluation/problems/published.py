"""The forms in which problem sets are published: the names of their fields.

A name may join several fields with +, such as Body+Question, and may lead into an object, such as question.stem.
"""

from dataclasses import dataclass, replace

from evaluation.problems.source import Row


@dataclass(frozen=True)
class Fields:
    """The names of a problem's fields in a config. With the defaults, published forms are recognised."""

    question: str = "question"
    """The question; fields joined with + are put together in this order, with a space between them."""
    answer: str = "answer"
    """The reference answer."""
    choices: str | None = None
    """The choices, or the fields of the single choices joined with +. None: they are looked for."""


DEFAULT = Fields()


@dataclass(frozen=True)
class Form:
    """The fields of one published form."""

    about: str
    """The problem sets that have this form."""
    question: str
    """As in `Fields`."""
    answer: str
    """As in `Fields`."""
    choices: str = ""
    """As in `Fields`; a problem of this form must have choices. Empty: they are looked for, and may be missing."""
    marked: bool = False
    """Whether the answer is a worked solution in which it must be marked, see `evaluation.problems.solutions`."""
    letters: bool = False
    """Whether a letter may be the answer of a problem without choices: the question has them in its words."""
    unit: bool = False
    """Whether the answer may have a unit in brackets, as in 9 (apples), which is left out."""
    listed: bool = False
    """Whether the answer is a list of one."""
    numbers: str = ""
    """The field with the numbers that are N_00, N_01, ... or number0, number1, ... in the question."""


FORMS = (
    Form("MAWPS (Hugging Face), SVAMP (CSV)", "Question", "Answer", numbers="Numbers"),
    Form("SVAMP, ASDiv-A", "Body+Question", "Answer", unit=True),
    Form("ASDiv", "body+question", "answer", unit=True),
    Form("MAWPS, MultiArith, AddSub, SingleEq", "sQuestion", "lSolutions", listed=True),
    Form("MAWPS (MWPToolkit)", "original_text", "ans"),
    Form("GSM8K, MMLU, MMLU-Pro, MedQA", "question", "answer"),
    Form("MATH-500, AIME", "problem", "answer", letters=True),
    Form("MATH", "problem", "solution", marked=True, letters=True),
    Form("solutions", "question", "solution", marked=True, letters=True),
    Form("MMMLU", "Question", "Answer"),
    Form("AQuA", "question", "correct", "options"),
    Form("MathQA", "Problem", "correct", "options"),
    Form("ARC, CommonsenseQA", "question", "answerKey", "choices"),
    Form("ARC, CommonsenseQA, OpenBookQA (JSON Lines)", "question.stem", "answerKey", "question.choices"),
    Form("OpenBookQA", "question_stem", "answerKey", "choices"),
    Form("ReClor", "context+question", "label", "answers"),
    Form("LogiQA", "context+query", "correct_option", "options"),
    Form("TruthfulQA-MC", "question", "label", "choices"),
    Form("Calc-X", "question", "result"),
)
"""A row has the first of these forms whose fields it has. Sources: the dataset cards of https://huggingface.co/datasets
(EleutherAI/asdiv, ChilleD/SVAMP, mwpt5/MAWPS, MU-NLPC/Calc-mawps, TIGER-Lab/MMLU-Pro, openai/MMMLU, deepmind/aqua_rat,
allenai/ai2_arc, allenai/openbookqa, allenai/math_qa, tau/commonsense_qa), https://github.com/arkilpatel/SVAMP,
https://github.com/LYH-YF/MWPToolkit and, for sQuestion and lSolutions, https://github.com/sroy9/mawps."""


def form_of(row: Row, fields: Fields) -> Form:
    """The form of a row: the first in FORMS whose fields it has, after those that the config names are put in.

    If it has none of them, the form has the names of the config.
    """
    forms = (_named(form, fields) for form in FORMS)
    plain = Form("the config's", fields.question, fields.answer, fields.choices or "")
    return next((form for form in forms if _has(row, form)), plain)


def _named(form: Form, fields: Fields) -> Form:
    """The form with the names that the config has for it; what a form says about another field does not hold then."""
    if fields.question not in (DEFAULT.question, form.question):
        form = replace(form, question=fields.question, numbers="", unit=False)
    if fields.answer not in (DEFAULT.answer, form.answer):
        form = replace(form, answer=fields.answer, marked=False, unit=False, listed=False)
    return replace(form, choices=fields.choices) if fields.choices else form


def _has(row: Row, form: Form) -> bool:
    joined = (form.question, form.answer, form.choices, form.numbers)
    return all(name in flat(row, name) for each in joined if each for name in names(row, each))


def names(row: Row, joined: str) -> list[str]:
    """The names of fields in a name such as Body+Question. The whole is one name if the row has such a field."""
    return [joined] if joined in row else [name.strip() for name in joined.split("+")]


def flat(row: Row, name: str) -> Row:
    """The row with a field for a name that leads into an object, such as question.stem, if there is such an object."""
    outer, dot, inner = name.partition(".")
    within = row.get(outer)
    if name in row or not dot or not isinstance(within, dict):
        return row
    return {f"{outer}.{key}": value for key, value in flat(within, inner).items()} | row


def columns(row: Row) -> str:
    """The names of a row's fields, for a message; at most 20."""
    return ", ".join(repr(str(key)[:80]) for key in list(row)[:20]) or "none"
