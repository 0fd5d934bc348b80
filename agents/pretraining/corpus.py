"""The training corpus of the embedded base model: an endless, seeded stream of conversations.

Four kinds, in the very prompts of `agents.prompts`: `solve` a question, `summarise` the others, `debate` (solve again
after reading a summary, or the very words, of the others), and short `drill`s of one sum or one product. Solutions in
the context hold random wrong steps, so that a critic learns to compute and not to copy; targets hold none.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from agents import prompts
from agents.pretraining.solutions import STYLES, Solution, Writer, summary, write
from evaluation.problems.arithmetic import Values, draw_values, question, reserved

KINDS = ("solve", "summarise", "debate", "drill")
CONTEXT_CORRUPTION = 0.08
"""Share of wrong numbers in solutions that are read, not learned."""
SMALL_SHARE, SMALL_VALUE, FULL_VALUE = 0.25, 12, 30
"""A quarter of the problems have values up to 12, the rest up to 30."""


class Mixture(BaseModel):
    """What one stage of pretraining is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: tuple[float, float, float, float] = Field(
        default=(0.60, 0.08, 0.20, 0.12), description="Shares of solve, summarise, debate and drill."
    )
    solve_slip: float = Field(default=0.0, description="Share of round-1 targets that make the slip of their style.")
    debate_slip: float = Field(default=0.0, description="Share of debate targets that make the slip of their style.")
    context_slip: float = Field(default=0.4, description="Share of solutions in the context that make their slip.")


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation; `learn` says whether its tokens carry loss."""

    role: str
    content: str
    learn: bool = False


def conversations(seed: int, mixture: Mixture) -> Iterator[list[Turn]]:
    """Endless stream of conversations; the same seed and mixture give the same stream."""
    rng = random.Random(f"corpus:{seed}")
    while True:
        kind = rng.choices(KINDS, mixture.weights)[0]
        if kind == "drill":
            yield _drill(rng)
            continue
        values = draw_values(rng, SMALL_VALUE if rng.random() < SMALL_SHARE else FULL_VALUE)
        text = question(values)
        if reserved(text):
            continue
        if kind == "solve":
            target = _solution(values, rng, mixture.solve_slip)
            yield [_user(prompts.solve(text)), Turn("assistant", target.text, learn=True)]
        elif kind == "summarise":
            others = _others(values, rng, mixture)
            asked = prompts.summarise(text, [s.text for s in others])
            yield [_user(asked), Turn("assistant", summary(others), learn=True)]
        else:
            yield _debate(values, text, rng, mixture)


def _user(message: prompts.Message) -> Turn:
    return Turn("user", message["content"])


def _solution(values: Values, rng: random.Random, slip: float) -> Solution:
    return write(values, rng.choice(STYLES), Writer(rng), rng.random() < slip)


def _read(values: Values, rng: random.Random, mixture: Mixture) -> tuple[Solution, bool]:
    """A solution that stands in a context, and whether it is free of random wrong steps."""
    writer = Writer(rng, CONTEXT_CORRUPTION if rng.random() < 0.6 else 0.0)
    solution = write(values, rng.choice(STYLES), writer, rng.random() < mixture.context_slip)
    return solution, not writer.corrupted


def _others(values: Values, rng: random.Random, mixture: Mixture) -> list[Solution]:
    count = rng.choice((1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 4))
    return [_read(values, rng, mixture)[0] for _ in range(count)]


def _debate(values: Values, text: str, rng: random.Random, mixture: Mixture) -> list[Turn]:
    """A solve turn, then one debate turn, or two in a tenth of the cases."""
    own, clean = _read(values, rng, mixture)
    turns = [
        _user(prompts.solve(text)),
        Turn("assistant", own.text, learn=clean and mixture.context_slip == mixture.solve_slip),
    ]
    rounds = 2 if rng.random() < 0.1 else 1
    for number in range(rounds):
        others = _others(values, rng, mixture)
        words = summary(others) if rng.random() < 0.92 else prompts.listed([s.text for s in others])
        turns.append(_user(prompts.debate(text, words)))
        last = number == rounds - 1
        target = _solution(values, rng, mixture.debate_slip)
        turns.append(Turn("assistant", f"Checking. {target.text}", learn=last))
    return turns


def _drill(rng: random.Random) -> list[Turn]:
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
    return [_user(prompts.solve(f"What is the result of {asked}?")), Turn("assistant", answer, learn=True)]
