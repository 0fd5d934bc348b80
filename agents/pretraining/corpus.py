"""The training corpus of the embedded base model: an endless, seeded stream of conversations.

There are four kinds, with the prompts of `agents.debate.prompts`: `solve` a question, `summarise` the other agents,
`debate` (after reading a summary, or the full responses, of the other agents), and short `drill`s of one sum or one
product.

In the first stages products are written out, and a debater solves the problem again. Solutions in the context have
random wrong steps, so that a debater learns to compute and not to copy; targets have none. In the last stages products
are remembered (`agents.pretraining.memory`), and a debater keeps its answer or sometimes writes a solution out.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from agents.debate.prompts import DEFAULT
from agents.engines.chat import Message
from agents.pretraining.memory import HARD, remembered
from agents.pretraining.solutions import STYLES, Solution, Writer, summary, write
from evaluation.problems.arithmetic import Values, draw_values, question, reserved

KINDS = ("solve", "summarise", "debate", "drill")
CONTEXT_CORRUPTION = 0.08
"""Share of wrong numbers in solutions that are read, not learned."""
SMALL_SHARE, SMALL_VALUE, FULL_VALUE = 0.25, 12, 30
"""A quarter of the problems have values up to 12, the rest up to 30."""


CONTEXT_SLIP = 0.4
"""Share of solutions in the context with the slip of their style, in the stages that write products out."""
HARD_SHARE = 0.5
"""Share of problems whose products are all remembered, in the stages that remember products."""
REHEARSED = 0.5
"""Share of debates that teach how to write a solution out, but not when."""


class Mixture(BaseModel):
    """The share of each kind of conversation in one stage of pretraining."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: tuple[float, float, float, float] = Field(
        default=(0.60, 0.08, 0.20, 0.12), description="Shares of solve, summarise, debate and drill."
    )
    check: float | None = Field(
        default=None,
        description="None: products are written out, and debaters solve the problem anew. Else products are "
        "remembered, and this share of the debaters write them out; the others keep their answer.",
    )


@dataclass(frozen=True)
class Exchange:
    """One turn of a conversation."""

    role: str
    content: str
    learn: bool = False
    """Whether its tokens count in the loss."""
    given: str = ""
    """First words of `content`, which do not count in the loss."""


def conversations(seed: int, mixture: Mixture) -> Iterator[list[Exchange]]:
    """Endless stream of conversations; the same seed and mixture give the same stream."""
    rng = random.Random(f"corpus:{seed}")
    while True:
        kind = rng.choices(KINDS, mixture.weights)[0]
        if kind == "drill":
            yield _drill(rng)
            continue
        values = _values(rng, mixture)
        text = question(values)
        if reserved(text):
            continue
        if kind == "solve":
            target = _solution(values, rng, mixture.check is not None)
            yield [_user(DEFAULT.first(text)), Exchange("assistant", target.text, learn=True)]
        elif kind == "summarise":
            others = _others(values, rng, mixture)
            asked = DEFAULT.summary_of(text, [s.text for s in others])
            yield [_user(asked), Exchange("assistant", summary(others), learn=True)]
        else:
            yield _debate(values, text, rng, mixture)


def _user(message: Message) -> Exchange:
    return Exchange("user", message["content"])


def _values(rng: random.Random, mixture: Mixture) -> Values:
    if mixture.check is None:
        return draw_values(rng, SMALL_VALUE if rng.random() < SMALL_SHARE else FULL_VALUE)
    a, b, c, d, e, f = draw_values(rng, FULL_VALUE)
    if rng.random() < HARD_SHARE:
        b, c, e, f = (rng.randint(HARD, FULL_VALUE) for _ in range(4))
    return a, b, c, d, e, f


def _solution(values: Values, rng: random.Random, from_memory: bool) -> Solution:
    style = rng.choice(STYLES)
    rng.random()  # Not used; the draw keeps the random stream with which the embedded weights were trained.
    return write(values, style, Writer(rng, memory=partial(remembered, style) if from_memory else None))


def _read(values: Values, rng: random.Random, mixture: Mixture) -> tuple[Solution, bool]:
    """A solution for a model to read, and whether it is free of random wrong steps."""
    corruption, style = CONTEXT_CORRUPTION if rng.random() < 0.6 else 0.0, rng.choice(STYLES)
    slips, remembers = rng.random() < CONTEXT_SLIP, mixture.check is not None
    writer = Writer(rng, corruption, partial(remembered, style) if remembers else None)
    solution = write(values, style, writer, slips and not remembers)
    return solution, not writer.corrupted


def _others(values: Values, rng: random.Random, mixture: Mixture) -> list[Solution]:
    count = rng.choice((1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 4))
    return [_read(values, rng, mixture)[0] for _ in range(count)]


def _debate(values: Values, text: str, rng: random.Random, mixture: Mixture) -> list[Exchange]:
    """A solve turn, then one debate turn, or two in a tenth of the cases."""
    own, clean = _read(values, rng, mixture)
    answer = own.answer
    turns = [
        _user(DEFAULT.first(text)),
        Exchange("assistant", own.text, learn=clean and mixture.check is not None),
    ]
    rounds = 2 if rng.random() < 0.1 else 1
    for number in range(rounds):
        others = _others(values, rng, mixture)
        words = summary(others) if rng.random() < 0.92 else DEFAULT.listed([s.text for s in others])
        turns.append(_user(DEFAULT.again(text, words)))
        last = number == rounds - 1
        solution = _solution(values, rng, from_memory=False)
        rehearsed = mixture.check is not None and rng.random() < REHEARSED
        if mixture.check is None or rehearsed or rng.random() < mixture.check:
            said, answer = f"Checking. {solution.text}", solution.answer
        else:
            said = f"I keep mine. The answer is \\boxed{{{answer}}}."
        turns.append(Exchange("assistant", said, learn=last, given="Checking." if rehearsed else ""))
    return turns


def _drill(rng: random.Random) -> list[Exchange]:
    """One sum, difference or product in the form in which solutions write it."""
    writer = Writer(rng)
    if rng.random() < 0.5:
        b, c = rng.randint(1, 30), rng.randint(1, 30)
        text, value = writer.product(b, c)
        asked = f"{b}*{c}"
    else:
        a, b = rng.randint(1, 950), rng.randint(1, 900) * rng.choice((1, -1, -1))
        text, value = writer.sum(a, b)
        asked = f"{a}{'+' if b >= 0 else '-'}{abs(b)}"
    answer = f"{text}. The answer is \\boxed{{{value}}}."
    return [_user(DEFAULT.first(f"What is the result of {asked}?")), Exchange("assistant", answer, learn=True)]
