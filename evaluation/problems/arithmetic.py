"""Generated arithmetic, the paper's first task: a+b*c+d-e*f with six values up to 30.

    What is the result of 5+17*23+8-12*9?      ->  296

The embedded base model was trained on questions of this form. Questions are divided by their id, so that finetuning and
evaluation never use a question of its pretraining: one in sixteen is `reserved` for runs, the others are free for
pretraining.
"""

import random
from collections.abc import Iterator

from evaluation.problems.problem import Problem, question_id

Values = tuple[int, int, int, int, int, int]


def question(values: Values) -> str:
    """The paper's wording of the question."""
    a, b, c, d, e, f = values
    return f"What is the result of {a}+{b}*{c}+{d}-{e}*{f}?"


def result(values: Values) -> int:
    """The right answer to `question(values)`."""
    a, b, c, d, e, f = values
    return a + b * c + d - e * f


def reserved(text: str) -> bool:
    """Whether a question belongs to runs (finetuning, evaluation) and so may not enter pretraining."""
    return question_id(text).startswith("0")


def draw_values(rng: random.Random, max_value: int) -> Values:
    """Six independent values, each uniform on 1..max_value."""
    a, b, c, d, e, f = (rng.randint(1, max_value) for _ in range(6))
    return a, b, c, d, e, f


def arithmetic_problems(seed: int, max_value: int = 30, above: int = 0) -> Iterator[Problem]:
    """An endless stream of distinct reserved problems; the same seed gives the same stream.

    Args:
        above: at least one of the six values is greater than this.
    """
    rng = random.Random(f"arithmetic:{seed}:{max_value}")
    seen: set[str] = set()
    while True:
        values = draw_values(rng, max_value)
        text = question(values)
        if max(values) > above and reserved(text) and text not in seen:
            seen.add(text)
            yield Problem(question=text, answer=str(result(values)))
