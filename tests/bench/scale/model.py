"""A model of the time that a job takes on a number of GPUs: plain arithmetic, to be read beside agents/runners.

An iteration is a debate over the training problems, a training, the driver's own steps, and a debate over the held-out
problems, one after another (agents/algorithm.py). Only the debates and the training are divided among GPUs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from tests.bench.scale.rates import Rates

Seconds = dict[str, float]
"""Seconds by the name of what takes them."""


@dataclass(frozen=True)
class Job:
    """The size of a job. Lengths are in tokens."""

    problems: int
    agents: int
    """N: so many generators, and as many critics."""
    rounds: int = 2
    held_out: int = 500
    iterations: int = 5
    epochs: int = 3
    heard: int | None = None
    """How many others a critic reads; None: all (`debate.topology: all-to-all`)."""
    learned: float = 0.5
    """The share of its responses that an agent learns from. In the default job it was 0.13 to 0.73 (README)."""
    question: int = 72
    """A question with its prompt. The mean of 1,000 problems of GSM8K, in tokens of the default sentence encoder."""
    again: int = 83
    """The prompt of a later round without the summary, counted likewise."""
    response: int = 256
    summary: int = 256
    """The defaults of `sampling.max_new_tokens` and `max_summary_tokens`. None is longer, so a job takes less."""

    @property
    def others(self) -> int:
        """How many others a critic reads."""
        return self.agents - 1 if self.heard is None else min(self.heard, self.agents - 1)

    def conversation(self, round_: int) -> int:
        """Tokens that an agent reads before it answers in a round: all its earlier turns, and the new question."""
        return self.question + (round_ - 1) * (self.response + self.again + self.summary)

    @property
    def steps(self) -> Iterator[tuple[int, int]]:
        """(read, sampled) tokens of a request in each call of the engine: an answer of round 1, then a summary of the
        others and an answer for each later round. A summary reads all the others, so its length grows with N."""
        yield self.question, self.response
        for round_ in range(2, self.rounds + 1):
            if self.others:
                yield self.question + self.others * self.response, self.summary
            yield self.conversation(round_), self.response

    @property
    def lessons(self) -> list[float]:
        """Tokens that each agent is trained on in an iteration; generators learn round 1, critics conversations."""
        generator, critic = (self.conversation(round_) + self.response for round_ in (1, self.rounds))
        examples = self.problems * self.learned * self.epochs
        return [examples * generator] * self.agents + [examples * critic] * self.agents


def call(requests: int, read: int, sampled: int, *, adapters: int, rates: Rates, gpus: int) -> float:
    """Seconds of one call of the engine, which is divided into portions, on `gpus` actors.

    Actors take portions in waves, so the last wave may leave actors idle. In a portion all rows are sampled at once,
    token after token, and a token takes at least `rates.step`, however few rows there are. So a portion of one request
    takes nearly as long as one of twenty, and more GPUs do not help when portions are small. The driver hands out the
    portions one after another, which takes at least `rates.portion` for each.
    """
    parts = portions(requests, adapters, rates, gpus)
    rows = requests / parts
    one = rows * read / rates.read + sampled * (rates.step + rows / rates.sampled)
    return max(ceil(parts / gpus) * one, parts * rates.portion)


def portions(requests: int, adapters: int, rates: Rates, gpus: int) -> int:
    """Into how many portions a call is divided: `agents.engines.portions`, with as many requests for each adapter.

    Portions have requests of one adapter each, at most `rates.batch_rows`, and there are about `rates.portions` for
    each actor.
    """
    size = max(1, min(rates.batch_rows, ceil(requests / (rates.portions * gpus))))
    return adapters * ceil(requests / adapters / size)


def debate(job: Job, problems: int, rates: Rates, gpus: int) -> float:
    """Seconds of a debate over so many problems: one call after another, since each round reads the one before."""
    requests = problems * job.agents
    return sum(call(requests, *step, adapters=job.agents, rates=rates, gpus=gpus) for step in job.steps)


def training(job: Job, rates: Rates, gpus: int) -> float:
    """Seconds of the training: that of the place with the most tokens.

    An agent is trained in one place, and there are at most 2N agents, so 2N GPUs is all that helps
    (agents/training/finetune.py: `_shares`, with equal data sets: agents are dealt out in turn).
    """
    places = min(gpus, 2 * job.agents)
    return max(sum(job.lessons[place::places]) for place in range(places)) / rates.trained


def driver(job: Job, rates: Rates) -> float:
    """Seconds of an iteration that the driver computes alone: for each response, and for each response that a split
    reads. Each of 2N splits reads the responses of all N agents, so this grows with N squared."""
    said = job.agents * job.rounds * (job.problems + job.held_out)
    return said * rates.response + 2 * job.agents * job.agents * job.rounds * job.problems * rates.split


def lineage(job: Job, rates: Rates) -> float:
    """Seconds to register a generation, in the driver, one agent after another: runs, versions and tags; a put for each
    file; and the bytes of the adapters, `copies` times."""
    files = rates.files + 2 * job.agents * rates.files_agent
    written = 2 * job.agents * rates.copies * rates.adapter_bytes
    return rates.register + 2 * job.agents * rates.register_agent + files * rates.put + written / rates.stored


def iteration(job: Job, rates: Rates, gpus: int) -> Seconds:
    """Seconds of an iteration, by what takes them."""
    return {
        "debates": debate(job, job.problems, rates, gpus) + debate(job, job.held_out, rates, gpus),
        "training": training(job, rates, gpus),
        "driver": driver(job, rates),
        "lineage": lineage(job, rates),
    }


def whole(job: Job, rates: Rates, gpus: int) -> Seconds:
    """Seconds of a job: its iterations, the start with loading the base, and the evaluation of the untuned base."""
    spent = {name: job.iterations * seconds for name, seconds in iteration(job, rates, gpus).items()}
    spent["debates"] += debate(job, job.held_out, rates, gpus)
    return spent | {"start": rates.start + rates.actor + rates.load}


def hours(job: Job, rates: Rates, gpus: int) -> float:
    """Hours of a job."""
    return sum(whole(job, rates, gpus).values()) / 3600


def useful_gpus(job: Job, rates: Rates, least: float = 0.5, most: int = 4096) -> int:
    """The largest power of two of GPUs on which at least this share of the GPUs' time is worth its price: on which the
    job costs at most 1 / `least` times what it costs on one."""
    alone, gpus = hours(job, rates, 1), 1
    while gpus < most and alone >= least * 2 * gpus * hours(job, rates, 2 * gpus):
        gpus *= 2
    return gpus


def fastest_gpus(job: Job, rates: Rates, gain: float = 0.1, most: int = 4096) -> int:
    """The smallest power of two of GPUs whose doubling makes the job less than `gain` faster."""
    gpus = 1
    while gpus < most and hours(job, rates, 2 * gpus) <= (1 - gain) * hours(job, rates, gpus):
        gpus *= 2
    return gpus


def limit(job: Job, rates: Rates, gpus: int) -> str:
    """What takes the most time of the job on so many GPUs."""
    spent = whole(job, rates, gpus)
    return max(spent, key=lambda name: spent[name])
