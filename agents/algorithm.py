"""Algorithm 1 of multiagent finetuning (arXiv 2501.05707), in the paper's names.

1 generate   y_{1,n} = A^G_n(x)
2 debate     y_{m,n} = A^C_n(x, y_{1..m-1,n}, summary of y_{m-1,-n})     for m = 2..M
3 vote       y^ = majority of y_{M,1..N}, after `weigh` if answers have weights
4 split      D^G_n, D^C_n: each agent's own words that agree with y^
5 finetune   A^G_n on D^G_n, A^C_n on D^C_n
6 evaluate   the same debate on held-out problems, and its scores

`iterate` is one iteration. `flows/improve.py` repeats it L times, and `docs/examples/algorithm1.py` runs it without a
server.

This module is plain Python. `run.steps` holds either the plain functions (`agents.steps`) or the Prefect tasks that
wrap them (`tasks.steps`).
"""

from collections.abc import Sequence
from typing import Protocol

from pydantic import SerializeAsAny

from agents.debate.settings import DebateSettings
from agents.debate.votes import VOTES, Vote
from agents.engines.protocol import Sampling
from agents.records import Consensus, Dataset, Finetuned, Generation, Learned, Responses, Stream, Transcript
from agents.run import Run
from agents.society import Agent, Society
from agents.store import Artifact
from agents.training.settings import FinetuneSettings
from evaluation.record import Record
from evaluation.scores import GenerationScores


class Debating(Record):
    """How a society debates."""

    debate: DebateSettings
    sampling: Sampling


class Settings(Debating):
    """The settings of an iteration: how the society debates, the seed, and how agents are finetuned."""

    seed: int
    finetune: SerializeAsAny[FinetuneSettings]


class StoredProblems(Record):
    """Problems to finetune on and held-out problems; the two never overlap."""

    train: Artifact
    evaluation: Artifact


class Steps(Protocol):
    """The steps of Algorithm 1; each step is described in its own module."""

    def generate(
        self, run: Run, agents: Sequence[Agent], *, transcript: Transcript, personas: Sequence[str], sampling: Sampling
    ) -> Responses:
        """Round 1 of a debate: `agents.debate.generate`."""
        ...

    def debate(
        self, run: Run, agents: Sequence[Agent], *, transcript: Transcript, rules: DebateSettings, sampling: Sampling
    ) -> Responses:
        """Round 2 or a later round of a debate: `agents.debate.debate`."""
        ...

    def weigh(self, run: Run, society: Society, *, transcript: Transcript, vote: Vote) -> Responses:
        """The last round with the weight of each answer in the vote: `agents.debate.votes`."""
        ...

    def vote(self, run: Run, transcript: Transcript, *, min_votes: int) -> Consensus:
        """The consensus: `agents.vote`."""
        ...

    def split(
        self, run: Run, agent: Agent, *, transcript: Transcript, consensus: Consensus, settings: FinetuneSettings
    ) -> Dataset:
        """An agent's dataset: `agents.split`."""
        ...

    def finetune(
        self,
        run: Run,
        agents: Sequence[Agent],
        *,
        datasets: Sequence[Dataset],
        settings: FinetuneSettings,
        stream: Stream,
    ) -> list[Finetuned]:
        """Agents with new adapters: `agents.training.finetune`."""
        ...

    def evaluate(self, run: Run, transcript: Transcript, *, learned: Learned | None = None) -> GenerationScores:
        """The scores of a generation: `agents.evaluate`."""
        ...


def iterate(run: Run, society: Society, *, problems: StoredProblems, settings: Settings, generation: int) -> Generation:
    """One finetuning iteration: make a new generation of a society and measure it.

    Args:
        run: the base models, the engine and the store.
        society: the previous generation.
        problems: the training problems and the held-out problems.
        settings: the debate, the sampling, the seed and the finetuning.
        generation: the number of the new generation.
    """
    run = run.labelled(f"iteration {generation}")
    learned = learn(run, society, x=problems.train, settings=settings, generation=generation)
    measuring = run.labelled(f"evaluate generation {generation}")
    held_out = assess(measuring, learned.society, x=problems.evaluation, settings=settings)
    scores = run.steps.evaluate(run, held_out, learned=learned)
    return Generation(learned=learned, debated=held_out, scores=scores)


def learn(run: Run, society: Society, *, x: Artifact, settings: Settings, generation: int) -> Learned:
    """Steps 1 to 5: the society debates over the training problems x, and each agent learns from its own words."""
    stream = Stream(seed=settings.seed, purpose="train", iteration=generation)
    y = hold_debate(run, society, x=x, settings=settings, stream=stream)
    consensus = run.steps.vote(run, y, min_votes=settings.finetune.min_votes)
    D = split_among(run, society.agents, y=y, consensus=consensus, settings=settings)
    tuned = run.steps.finetune(run, society.agents, datasets=D, settings=settings.finetune, stream=stream)
    n = len(society.generators)
    new = [each.agent for each in tuned]
    return Learned(
        society=Society(generation=generation, generators=new[:n], critics=new[n:]),
        sampled=y.rounds,
        consensus=consensus,
        datasets=D,
        tuned=tuned,
    )


def split_among(
    run: Run, agents: Sequence[Agent], *, y: Transcript, consensus: Consensus, settings: Settings
) -> list[Dataset]:
    """The dataset D_n of each agent."""
    return [
        run.steps.split(
            run, agent, transcript=y, consensus=consensus, settings=run.method_of(agent.index, settings.finetune)
        )
        for agent in agents
    ]


def assess(run: Run, society: Society, *, x: Artifact, settings: Settings) -> Transcript:
    """Step 6 without the scores: the debate of one generation over the held-out problems x."""
    stream = Stream(seed=settings.seed, purpose="evaluate", iteration=society.generation)
    return hold_debate(run, society, x=x, settings=settings, stream=stream)


def hold_debate(run: Run, society: Society, *, x: Artifact, settings: Debating, stream: Stream) -> Transcript:
    """A debate over the problems x: generators answer in round 1, critics in rounds 2..M.

    Critic n continues the conversation of generator n. Of the other agents, it reads only round m-1. Each response of
    the last round has its weight in the vote.
    """
    rules, sampling = settings.debate, settings.sampling
    y = Transcript(problems=x, stream=stream)
    y = y.and_then(
        run.steps.generate(run, society.generators, transcript=y, personas=rules.personas, sampling=sampling)
    )
    for _ in range(2, rules.rounds + 1):
        y = y.and_then(
            run.steps.debate(run, society.critics, transcript=y, rules=rules.of_one_round, sampling=sampling)
        )
    vote = VOTES[rules.vote]
    if vote.weighs:
        y = y.ending_in(run.steps.weigh(run, society, transcript=y, vote=vote))
    return y
