"""Draws the support tickets and the orders of the examples.

python docs/examples/sentences.py       # writes tickets/tickets.jsonl and orders/orders.jsonl again
"""

import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

COUNT, SEED = 120, 1
"""The number of problems in each file, and the seed that they are drawn with."""

CONCERNS = {
    "billing": [
        "I was charged twice",
        "my invoice has a mistake",
        "the refund has not come",
        "my card was declined",
        "the discount is missing",
        "I need a receipt",
    ],
    "delivery": [
        "my parcel is late",
        "the box came broken",
        "the courier rang at the wrong door",
        "the tracking page is empty",
        "half of the order is missing",
        "the van never came",
    ],
    "account": [
        "I cannot log in",
        "my password does not work",
        "please change my email address",
        "I want to close my profile",
        "the code for signing in never comes",
        "my name is spelled wrongly on my page",
    ],
    "other": [
        "do you have a shop in my town",
        "is the fabric made of wool",
        "are you looking for staff",
        "can I read your catalogue",
        "who designs your chairs",
        "do you sell to schools",
    ],
}
OPENINGS = ["Hello", "Hi", "Dear team", "Good morning", "Good evening", "Hello again"]
CLOSINGS = ["Thanks.", "Please help.", "What now?", "Best wishes.", "Please answer soon."]

FIELDS: dict[str, list[str | int]] = {
    "item": ["mug", "lamp", "chair", "bowl", "plate"],
    "quantity": [*range(2, 8)],
    "city": ["Lyon", "Oslo", "Turin", "Porto", "Graz"],
}
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
ORDERS = [
    "Please send {quantity} {item}s to {city} by {day}.",
    "We need {quantity} {item}s in {city} on {day}.",
    "For {day}: {quantity} {item}s to {city}.",
]

Answer = str | dict[str, str | int]


@dataclass(frozen=True)
class Sentence:
    """What the agents are asked about, and the right answer."""

    question: str
    answer: Answer


def ticket(rng: random.Random) -> Sentence:
    """A support ticket; the answer is its topic."""
    topic = rng.choice([*CONCERNS])
    question = f"{rng.choice(OPENINGS)}, {rng.choice(CONCERNS[topic])}. {rng.choice(CLOSINGS)}"
    return Sentence(question, topic)


def order(rng: random.Random) -> Sentence:
    """An order; the answer has its item, quantity and city."""
    answer = {field: rng.choice(values) for field, values in FIELDS.items()}
    return Sentence(rng.choice(ORDERS).format(day=rng.choice(DAYS), **answer), answer)


def wrong(answer: Answer, rng: random.Random) -> Answer:
    """A wrong answer: another topic, or the next value in one field."""
    if isinstance(answer, str):
        return rng.choice([topic for topic in CONCERNS if topic != answer])
    field = rng.choice([*answer])
    values = FIELDS[field]
    return {**answer, field: values[(values.index(answer[field]) + 1) % len(values)]}


def different(draw: Callable[[random.Random], Sentence], seed: int) -> Iterator[Sentence]:
    """Sentences with different questions, in the order of the seed."""
    rng, seen = random.Random(seed), set[str]()
    while True:
        sentence = draw(rng)
        if sentence.question not in seen:
            seen.add(sentence.question)
            yield sentence


def problems(draw: Callable[[random.Random], Sentence]) -> list[Sentence]:
    """The problems of an example's file."""
    return list(itertools.islice(different(draw, SEED), COUNT))


def write(file: Path, sentences: list[Sentence]) -> None:
    """Write problems as JSON Lines."""
    rows = ({"question": each.question, "answer": each.answer} for each in sentences)
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


if __name__ == "__main__":
    folder = Path(__file__).parent
    write(folder / "tickets" / "tickets.jsonl", problems(ticket))
    write(folder / "orders" / "orders.jsonl", problems(order))
