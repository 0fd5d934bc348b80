"""The scores of one generation of a society, which a run prints, MLflow stores and `maft compare` reads.

Accuracies are shares in 0..1 over the held-out problems; an unparsable answer counts as wrong. Every standard error is
the error of a mean over problems, sd / sqrt(n), with the n-1 estimate of sd.
"""

from pydantic import Field

from evaluation.record import Record, Role


class AgentScore(Record):
    """Accuracy of one agent in one round."""

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


class DebateScores(Record):
    """Scores of one whole debate over one problem set."""

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
    sampled_tokens: int = Field(description="Tokens sampled for this generation's training data and its evaluation.")
    trained_tokens: int = Field(description="Tokens of all training examples times epochs, prompts included.")
    unchanged: list[str] = Field(default_factory=list, description="Agents without data, which kept their adapter.")
    fallback_share: float | None = Field(
        default=None,
        description="Share of JSON messages, in both debates, that were not valid; none if no JSON was asked for.",
    )
    seconds: dict[str, float] = Field(default_factory=dict, description="Seconds of computing per stage.")
