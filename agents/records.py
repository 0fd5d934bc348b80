"""The records that the steps of Algorithm 1 pass on. They are small: they name data in the store by its digest."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from agents.seeding import derive_seed
from agents.society import Agent, Society
from agents.store import Artifact
from evaluation.problems.problem import Problem
from evaluation.record import Record
from evaluation.scores import GenerationScores


class Stream(Record):
    """The random stream that a debate draws from: no two debates of a job share one."""

    seed: int
    purpose: Literal["train", "evaluate"]
    iteration: int

    def seed_of(self, round_: int, agent: Agent, problem: Problem, part: str = "response") -> int:
        """The seed of one sample."""
        return derive_seed(self.seed, self.purpose, self.iteration, round_, agent.name, problem.id, part)


class Responses(Record):
    """The responses of all agents in one round: a frame with the columns of `agents.debate.responses.COLUMNS`."""

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset({"seconds"})

    responses: Artifact
    sampled_tokens: int
    seconds: float
    messages: int = 0
    """Number of messages that the summariser was asked to write as JSON."""
    fallbacks: int = 0
    """Number of these messages that were not valid, and were built from the responses instead."""


def fallback_share(rounds: Sequence[Responses]) -> float | None:
    """The share of JSON messages that were not valid, over several rounds; None if no JSON was asked for."""
    messages = sum(each.messages for each in rounds)
    return sum(each.fallbacks for each in rounds) / messages if messages else None


class Transcript(Record):
    """A debate so far: its problems, its random stream, and the responses of rounds 1..m."""

    problems: Artifact
    stream: Stream
    rounds: tuple[Responses, ...] = ()

    @property
    def responses(self) -> list[Artifact]:
        """The responses of each round, in order."""
        return [each.responses for each in self.rounds]

    @property
    def next_round(self) -> int:
        """The number of the round that comes next."""
        return len(self.rounds) + 1

    def and_then(self, responses: Responses) -> "Transcript":
        """The same debate with one more round."""
        return self.model_copy(update={"rounds": (*self.rounds, responses)})

    def ending_in(self, responses: Responses) -> "Transcript":
        """The same debate with its last round replaced."""
        return self.model_copy(update={"rounds": (*self.rounds[:-1], responses)})


class Consensus(Record):
    """The result of the vote on every problem: a frame with the columns problem_id, answer, votes, tied, kept."""

    votes: Artifact
    kept: int
    dropped: int
    kept_accuracy: float | None
    dropped_accuracy: float | None


class Dataset(Record):
    """One agent's examples: a frame with a conversation as JSON in the column `messages`, and columns of the method."""

    examples: Artifact
    agreeing: int = 0
    """Responses of the agent that agree with the consensus, of the round that it learns from."""
    cut: int = 0
    """Number of these that were cut at the token limit; they are not learned, since they would end in the middle."""


class Finetuned(Record):
    """An agent after an iteration; if it had nothing to learn from, `adapter` is None and the agent is unchanged."""

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset({"seconds"})

    agent: Agent
    adapter: Artifact | None
    examples: int
    skipped: int = 0
    trained_tokens: int = 0
    first_loss: float | None = None
    last_loss: float | None = None
    seconds: float = 0.0
    """The agent's share, by trained tokens, of the time in which all agents of its base were trained."""


class Learned(Record):
    """What an iteration learned from, and the new generation."""

    society: Society
    """The new generation."""
    sampled: tuple[Responses, ...]
    """All responses sampled for the training problems."""
    consensus: Consensus
    datasets: list[Dataset]
    tuned: list[Finetuned]


class Generation(Record):
    """The result of an iteration: the new generation, its debate over the held-out problems, and its scores."""

    learned: Learned
    debated: Transcript
    scores: GenerationScores

    @property
    def society(self) -> Society:
        """The new generation."""
        return self.learned.society
