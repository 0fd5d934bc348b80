"""Finds questions that are there twice: within one source, or in training and in evaluation."""

import logging
import re
from typing import Literal

from evaluation.answers.equality import equivalent
from evaluation.problems.problem import Located, ProblemFileError, normalized

log = logging.getLogger("maft.problems")

Repeats = Literal["refuse", "drop", "keep_first"]
"""What to do with a question that is there twice, see `without_repeats`."""

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+|[^\w\s]|_")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")
_ASIDE = frozenset('.,:;?"\u201c\u201d')


SHOWN_OVERLAPS = 10


class OverlapError(ValueError):
    """Training and evaluation problems share questions; the message lists them with file and line."""


def same_question(question: str) -> str:
    """A key that is the same for questions that differ only in case, spacing or punctuation.

    Marks that carry meaning stay: operators, brackets, decimal points, the prime and the factorial.
    """
    tokens = _TOKEN.findall(_THOUSANDS.sub("", normalized(question).replace("\u2019", "'")))
    kept = [token for token in tokens if token not in _ASIDE]
    return " ".join(kept)


def without_repeats(source: str, located: list[Located], repeats: Repeats) -> list[Located]:
    """The problems, each question once, in order.

    Args:
        source: the name of the file or data set, for messages.
        repeats: refuse: repeated questions are an error. drop: the first of each is kept, but none if their answers
            differ, since nothing says which is right. keep_first: the first of each is kept. The last two log how many
            problems are left out.

    Raises:
        ProblemFileError: a question is repeated (refuse), or no question is left (drop).
    """
    alike: dict[str, list[Located]] = {}
    for each in located:
        found = alike.setdefault(same_question(each.problem.question), [])
        if found and repeats == "refuse":
            raise ProblemFileError(
                f"{each.where}: the same question as {found[0].where}: {each.problem.question[:80]!r}; "
                "remove one of the two, or set problems.duplicates to drop"
            )
        found.append(each)
    repeated = len(located) - len(alike)
    if repeats == "drop":
        return _without_contradictions(source, [*alike.values()], repeated)
    if repeated:
        log.warning("%s: %d questions are repeated; the first of each is kept", source, repeated)
    return [found[0] for found in alike.values()]


def _without_contradictions(source: str, alike: list[list[Located]], repeated: int) -> list[Located]:
    agreed: list[Located] = []
    disputed: list[Located] = []
    for first, *others in alike:
        same = all(equivalent(first.problem.answer, other.problem.answer) for other in others)
        (agreed if same else disputed).append(first)
    if disputed:
        places = ", ".join(each.where for each in disputed[:3])
        log.warning(
            "%s: %d questions have different answers and are left out; the first are at %s",
            source,
            len(disputed),
            places,
        )
    if repeated:
        log.warning("%s: %d repeated problems are left out", source, repeated)
    if not agreed:
        raise ProblemFileError(f"{source}: every question is there twice with different answers; correct the answers")
    return agreed


def overlap(train: list[Located], evaluation: list[Located]) -> list[tuple[Located, Located]]:
    """The pairs of one training and one evaluation problem that ask the same question, in the order of `evaluation`."""
    trained = {same_question(located.problem.question): located for located in train}
    keys = ((same_question(located.problem.question), located) for located in evaluation)
    return [(trained[key], located) for key, located in keys if key in trained]


def refuse_overlap(train: list[Located], evaluation: list[Located]) -> None:
    """Refuse problems that are in both lists.

    Raises:
        OverlapError: see there.
    """
    shared = overlap(train, evaluation)
    if not shared:
        return
    listed = "\n".join(
        f"  {ours.where} and {theirs.where}: {theirs.problem.question[:80]!r}"
        for ours, theirs in shared[:SHOWN_OVERLAPS]
    )
    more = f"\n  and {len(shared) - SHOWN_OVERLAPS} more" if len(shared) > SHOWN_OVERLAPS else ""
    raise OverlapError(
        f"{len(shared)} questions are both in training and in evaluation; take them out of one of the two:\n"
        f"{listed}{more}"
    )
