"""Trains a tiny base model for the examples `tickets` and `orders`, in about a minute on two processor cores.

    .venv/bin/python docs/examples/make_base.py examples-base

The model reads sentences like those of the examples, but none of their problems. Many of the answers that it learns
from are wrong at random, so it knows the tasks but is often wrong, and agents improve by what they agree on. It can
answer, summarise and debate with the prompts of the two examples, and nothing else.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the project, from any working directory

import sentences
from sentences import Answer, Sentence
from transformers.utils.logging import disable_progress_bar

from agents.debate.prompts import Prompts
from agents.engines.chat import Message
from agents.pretraining.corpus import Exchange
from agents.pretraining.stages import Stage
from agents.pretraining.tokenizer import tokenizer_of
from agents.pretraining.train import Progress, batches, new_model, save, train
from infra.config.file import load
from infra.config.job import Config

KINDS, SHARES = ("solve", "summarise", "debate"), (0.5, 0.15, 0.35)
TOKENS = 300_000


@dataclass(frozen=True)
class Task:
    """One of the examples: how its sentences are drawn, and what its agents are asked."""

    draw: Callable[[random.Random], Sentence]
    wrong: float
    """Share of the answers that are wrong."""
    prompts: Prompts
    problems: frozenset[str]
    """The questions of the example's file, which the model does not read."""

    def sentence(self, rng: random.Random) -> Sentence:
        """A sentence that is none of the problems."""
        drawn = self.draw(rng)
        return drawn if drawn.question not in self.problems else self.sentence(rng)

    def conversation(self, rng: random.Random) -> list[Exchange]:
        """One turn of a debate, or the summary of two responses."""
        asked, kind = self.sentence(rng), rng.choices(KINDS, SHARES)[0]
        own, again, *others = (
            asked.answer if rng.random() >= self.wrong else sentences.wrong(asked.answer, rng) for _ in range(4)
        )
        if kind == "summarise":
            given = self.prompts.summary_of(asked.question, [response(each) for each in others])
            return [_user(given), Exchange("assistant", summary(others), learn=True)]
        turns = [_user(self.prompts.first(asked.question)), Exchange("assistant", response(own), learn=True)]
        if kind == "debate":
            turns += [_user(self.prompts.again(asked.question, summary(others)))]
            turns += [Exchange("assistant", response(again), learn=True)]
        return turns


def response(answer: Answer) -> str:
    """What an agent says."""
    return json.dumps(answer) if isinstance(answer, dict) else f"This is about {answer}. Answer: {answer}"


def summary(answers: list[Answer]) -> str:
    """What a summariser says of these answers."""
    told = [", ".join(map(str, each.values())) if isinstance(each, dict) else each for each in answers]
    return "\n".join(f"Agent {number}: {each}" for number, each in enumerate(told, start=1))


def _user(message: Message) -> Exchange:
    return Exchange("user", message["content"])


def task(name: str, draw: Callable[[random.Random], Sentence], wrong: float) -> Task:
    """The example of this name, with the prompts of its config."""
    config = load(Config, Path(__file__).parent / name / f"{name}.yaml", [])
    return Task(draw, wrong, config.prompts.texts, frozenset(each.question for each in sentences.problems(draw)))


def conversations(seed: int) -> Iterator[list[Exchange]]:
    """Endless conversations about tickets and orders."""
    tasks = [task("tickets", sentences.ticket, 0.33), task("orders", sentences.order, 0.38)]
    rng = random.Random(f"base:{seed}")
    while True:
        yield rng.choices(tasks, (3, 4))[0].conversation(rng)


def make(folder: Path, tokens: int = TOKENS, seed: int = 1) -> None:
    """Train the model and write it into the folder."""
    tokenizer = tokenizer_of(turn.content for turns in islice(conversations(0), 2_000) for turn in turns)
    model = new_model(tokenizer, seed)
    stage = Stage(name="examples", tokens=tokens, batch_tokens=1_024, rate=(1.0, 0.05))

    def tell(progress: Progress) -> None:
        print(f"{progress.tokens:,} of {tokens:,} tokens, loss {progress.loss:.3f}", flush=True)

    train(model, batches(conversations(seed), tokenizer, seed, stage.batch_tokens), stage, tell)
    disable_progress_bar()  # Writing takes no time.
    save(model, tokenizer, folder)
    print(f"The model is in {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("name the folder of the model: .venv/bin/python docs/examples/make_base.py FOLDER")
    make(Path(sys.argv[1]))
