"""Whether two answers are the same."""

from functools import lru_cache
from typing import Any

from evaluation.answers import symbolic
from evaluation.answers.form import Form, Formula, form
from evaluation.answers.relations import Relation

MAX_COMPARED_CHARS = 1_000


def equivalent(a: str | None, b: str | None) -> bool:
    """Whether two answers are the same. None, a missing answer, equals nothing.

    Answers are equal if they have the same `key`. So this is an equivalence relation on answers: reflexive, symmetric
    and transitive. Any thread may call this, and time and memory are bounded for any text.

    Raises:
        RuntimeError: math-verify does not start (not installed).
        TimeoutError: the machine is so overloaded that math-verify gets no CPU time.
    """
    if a is None or b is None:
        return False
    return a == b or key(a) == key(b)


@lru_cache(maxsize=65_536)
def key(answer: str) -> tuple[Any, ...]:
    """What all answers that are equal to this one have in common: nested tuples of texts.

    It is the answer's form (`evaluation.answers.form`) with the values of its formulas (`evaluation.answers.symbolic`).
    An answer of more than MAX_COMPARED_CHARS characters is its own key.
    """
    if len(answer) > MAX_COMPARED_CHARS:
        return "text", answer
    read = form(answer)
    leaves = list(dict.fromkeys(_asked(read)))
    found = symbolic.values(leaves) if leaves else []
    # Formulas without a value are equal only if they are written in the same way.
    values = found if found is not None else [["text", *leaf] for leaf in leaves]
    return _resolved(read, {leaf: tuple(each) for leaf, each in zip(leaves, values, strict=True)})


def _asked(read: Form) -> list[symbolic.Asked]:
    """What must be asked about a form's leaves."""
    if isinstance(read, Formula):
        return [("formula", read.text)]
    if isinstance(read, Relation):
        return [(read.sign, read.text)]
    if read[0] == "decimal":
        return [read]
    return [leaf for part in read if not isinstance(part, str) for leaf in _asked(part)]


def _resolved(read: Form, values: dict[symbolic.Asked, tuple[str, ...]]) -> tuple[Any, ...]:
    """The form with values in place of formulas, and the parts of sets in order and without repeats."""
    if isinstance(read, Formula | Relation) or read[0] == "decimal":
        return values[_asked(read)[0]]
    parts = [part if isinstance(part, str) else _resolved(part, values) for part in read[1:]]
    if read[0] in ("set", "union"):
        parts = sorted(set(parts), key=repr)
        if len(parts) == 1 and isinstance(parts[0], tuple):
            return parts[0]
    return (str(read[0]), *parts)
