r"""Answers: found in what a model wrote, compared as mathematics, and put to the vote.

    extract_answer("... so 296. \\boxed{296}")     ->  "296"
    equivalent("1,000", "$1000.00")                ->  True
    majority(["1/2", "0.5", "2", None], seed=1)    ->  "1/2"

Model output is hostile by nature: whatever the text, extraction is linear in at most TAIL_CHARS characters and a
comparison is bounded in time and memory (see `evaluation.symbolic`).
"""

import math
import random
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from pydantic import Field

from evaluation import symbolic
from evaluation.exact import canonical, decide, formula
from evaluation.scores import Record

TAIL_CHARS = 20_000
MAX_ANSWER_CHARS = 200
MAX_COMPARED_CHARS = 1_000

# An escaped character is taken in one piece, so that \{ and \} of a set do not count as braces.
_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_PHRASE = re.compile(r"\bthe\s+(?:(?:final|correct|right)\s+)?answer\s+is\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?=[\s*]|$)|\n")
# A choice of several, at the start of an answer that names no other: (B) mitosis, B) mitosis, option B, B because ...
_CHOICE = re.compile(
    r"(?:(?i:option|choice) \(?([A-J])\)?(?![\w'])|\(?([A-J])\)(?![^\s.,:;*])|([A-J])(?=,? (?:because|since)\b))"
    r"(?!.*\([A-J]\))"
)
# The same where no answer is given in another way: Answer: B, the correct option is (B).
_NAMED_CHOICE = re.compile(
    r"\b(?i:answer|option|choice)(?:\s{1,3}(?i:is)\b|\s{0,3}:)[\s:*]{0,5}\(?([A-J])(?:\)|(?![\w'(])(?!\s{0,3}[-+*/^=<>]))"
)
_LAST_CHOICE = re.compile(r"\(([A-J])\)[\s.*]{0,5}$")


def boxed(text: str) -> str | None:
    r"""What the \boxed{...} holds that was opened last and is closed; the inner one of two nested. None if none is."""
    opened: list[tuple[int, int] | None] = []
    last: tuple[int, str] | None = None
    for token in _BRACES.finditer(text):
        if token[0] == "{":
            opened.append(None)
        elif token[0].endswith("{") and len(token[0]) > 2:
            opened.append(token.span())
        elif token[0] == "}" and opened:
            box = opened.pop()
            if box and (last is None or box[0] > last[0]):
                last = box[0], text[box[1] : token.start()].strip()
    return last[1] if last else None


def extract_answer(text: str) -> str | None:
    r"""The final answer in a response.

    The last \boxed{...}; if there is none, what follows the last `####` on its line (GSM8K's form); if there is none,
    what follows the last "the answer is" up to the end of the sentence; if there is none, the choice in the last
    "Answer: B" or "the right option is (B)", or a "(B)" at the very end. Only the last TAIL_CHARS characters are read.

    Returns:
        The answer with its white space folded, of "(B) mitosis" the letter; or None if there is none, or it is empty or
        longer than MAX_ANSWER_CHARS.
    """
    text = text[-TAIL_CHARS:]
    answer = boxed(text)
    if answer is None:
        _, mark, after = text.rpartition("####")
        answer = after.lstrip(" \t").partition("\n")[0] if mark else _after_phrase(text)
    if answer is None:
        named = _NAMED_CHOICE.findall(text) or _LAST_CHOICE.findall(text)
        return named[-1] if named else None
    answer = " ".join(answer.split())
    if not 0 < len(answer) <= MAX_ANSWER_CHARS:
        return None
    choice = _CHOICE.match(answer)
    return str(choice[choice.lastindex or 0]) if choice else answer


def _after_phrase(text: str) -> str | None:
    """What follows the last "the answer is" up to the end of the sentence; None if that is a box never closed."""
    ends = [found.end() for found in _PHRASE.finditer(text)]
    if not ends:
        return None
    rest = text[ends[-1] :][: 2 * MAX_ANSWER_CHARS].lstrip(" \t\n:*")
    if rest.lstrip("$").startswith(("\\boxed", "\\fbox")):
        return None  # No box is closed: the response was cut, perhaps in the middle of a number.
    end = _SENTENCE_END.search(rest)
    return rest[: end.start() if end else None].strip(" \t*:")


def equivalent(a: str | None, b: str | None) -> bool:
    """Whether two answers are the same mathematically. None, the answer that was not given, equals nothing.

    Numbers are compared exactly, words without regard to case, formulas by math-verify in a process of its own; see
    `evaluation.exact` and `evaluation.symbolic`. Symmetric and reflexive (but for None), and remembered. Not quite
    transitive: 50% fits 50 as well as 0.5. Safe from any thread, and bounded whatever the texts are.

    Raises:
        RuntimeError: math-verify does not start (not installed).
        TimeoutError: the machine is so overloaded that math-verify gets no processor.
    """
    if a is None or b is None:
        return False
    return a == b or _equivalent(min(a, b), max(a, b))


@lru_cache(maxsize=65_536)
def _equivalent(a: str, b: str) -> bool:
    if max(len(a), len(b)) > MAX_COMPARED_CHARS:
        return False
    decided = decide(canonical(a), canonical(b))
    return symbolic.equal(formula(a), formula(b)) if decided is None else decided


class Tally(Record):
    """The outcome of one vote."""

    answer: str | None = Field(description="The winning answer, as its first voter wrote it; none if nobody answered.")
    votes: int = Field(ge=0, description="Agents that gave the winning answer.")
    voters: int = Field(ge=0, description="Agents that gave any answer.")
    tied: bool = Field(description="Whether other answers weighed as much and the seed decided.")
    agrees: list[bool] = Field(description="Per agent, in order, whether it gave the winning answer.")


def tally(answers: Sequence[str | None], seed: int | str, weights: Sequence[float] | None = None) -> Tally:
    """Count the votes of one problem.

    An answer has the votes of all agents whose answer is `equivalent` to it. The most votes win, or the greatest sum
    of their weights; among equals the seed draws, whatever the answers say. None is a vote for nothing.

    Args:
        answers: one per agent, in the order of the agents.
        seed: decides ties; the same seed and the same answers have the same outcome in every process.
        weights: one per agent, finite and not negative; None for a vote in which all weigh the same.

    Raises:
        ValueError: a weight is negative or not finite, or there are not as many as answers.
    """
    weights = [1.0] * len(answers) if weights is None else weights
    if not all(0.0 <= weight < math.inf for weight in weights):
        raise ValueError(f"weights are finite and not negative; these are {list(weights)}")
    held: dict[str, list[float]] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if answer is not None:
            held.setdefault(answer, []).append(weight)
    if not held:
        return Tally(answer=None, votes=0, voters=0, tied=False, agrees=[False] * len(answers))
    # Exact sums, so that the order of the agents decides nothing.
    sums = {a: math.fsum(chain.from_iterable(own for b, own in held.items() if equivalent(a, b))) for a in held}
    most = max(sums.values())
    options: list[str] = []
    for answer in held:
        if sums[answer] == most and not any(equivalent(answer, option) for option in options):
            options.append(answer)
    winner = random.Random(f"vote:{seed}").choice(options)
    agrees = [equivalent(answer, winner) for answer in answers]
    return Tally(
        answer=winner,
        votes=sum(agrees),
        voters=sum(map(len, held.values())),
        tied=len(options) > 1,
        agrees=agrees,
    )


def unanimous(answers: Sequence[str | None]) -> bool:
    """Whether all agents, and at least one, gave an answer, and one that the winner's voters share. See `tally`."""
    return 0 < len(answers) == tally(answers, seed=0).votes


def majority(answers: Sequence[str | None], seed: int | str) -> str | None:
    """The answer that most agents gave, ties drawn with the seed; None if nobody answered. See `tally`."""
    return tally(answers, seed).answer
