"""The scores of one generation of a society, which a run prints, MLflow stores and `maft compare` reads.

Accuracies are shares in 0..1 over the held-out problems; an unparsable answer counts as wrong. Every standard error is
the error of a mean over problems, sd / sqrt(n), with the n-1 estimate of sd.
"""

from pydantic import Field

from evaluation.record import Record, Role


class ResponseShares(Record):
    """Shares of an agent's or a debate's responses, 0..1; None if there are no responses, or none were counted.

    Responses that a finished debate carried into later rounds do not count.
    """

    unanswered_share: float | None = Field(default=None, description="Share of responses without an answer.")
    cut_share: float | None = Field(
        default=None, description="Share of responses that did not end by themselves, but were cut at the token limit."
    )


class AgentScore(ResponseShares):
    """Accuracy and response shares of one agent in one round."""

    role: Role
    index: int = Field(ge=0)
    accuracy: float


class RoundScore(Record):
    """Scores of one round: each agent alone, their mean, and their vote; `debate.vote` weighs the last round's vote."""

    round: int = Field(ge=1)
    agents: list[AgentScore]
    mean_accuracy: float
    mean_standard_error: float
    majority_accuracy: float
    majority_standard_error: float
    consensus: float | None = Field(
        default=None,
        description="Mean share of agents that give the round's majority answer. None in scores of an earlier maft.",
    )


class DebateScores(ResponseShares):
    """Scores of one whole debate over one problem set; the response shares are over all agents and rounds."""

    problems: int
    rounds: list[RoundScore]
    accuracy: float = Field(description="Of the society's answer, which is the vote of the last round.")
    standard_error: float
    consensus: float = Field(description="Mean share of agents that give the last round's majority answer.")


class GenerationScores(DebateScores):
    """Generation 0 is the untuned base; generation k is the society after k finetuning iterations."""

    generation: int = Field(ge=0)
    pseudo_label_accuracy: float | None = Field(
        default=None,
        description="Share of kept pseudo-labels that are right; none for generation 0, or if no label was kept.",
    )
    dropped_label_accuracy: float | None = Field(
        default=None, description="Share of labels with fewer than finetune.min_votes votes that are right."
    )
    kept_labels: int = 0
    dropped_labels: int = 0
    dataset_sizes: dict[str, int] = Field(default_factory=dict, description="Examples per agent, by agent name.")
    agreeing: dict[str, int] = Field(
        default_factory=dict, description="Responses that agree with the consensus per agent, of the round it learns."
    )
    left_out: dict[str, int] = Field(
        default_factory=dict, description="Those of them that were cut at the token limit, and so not learned."
    )
    sampled_tokens: int = Field(description="Tokens sampled for this generation's training data and its evaluation.")
    trained_tokens: int = Field(description="Tokens of all training examples times epochs, prompts included.")
    unchanged: list[str] = Field(default_factory=list, description="Agents without data, which kept their adapter.")
    training_responses: ResponseShares = Field(
        default=ResponseShares(), description="Shares of the responses to the training problems of this generation."
    )
    fallback_share: float | None = Field(
        default=None,
        description="Share of JSON messages, in both debates, that were not valid; none if no JSON was asked for.",
    )
    seconds: dict[str, float] = Field(default_factory=dict, description="Seconds of computing per stage.")

    @property
    def examples(self) -> dict[str, int]:
        """Examples per agent of the roles that spoke; a debate of one round has no critics, so none can learn."""
        roles = {agent.role for one in self.rounds for agent in one.agents}
        return {name: size for name, size in self.dataset_sizes.items() if name.rpartition("-")[0] in roles}

    @property
    def learned_nothing(self) -> bool:
        """Whether a finetuning iteration had no example for any agent; False for generation 0."""
        return bool(self.dataset_sizes) and not any(self.dataset_sizes.values())
