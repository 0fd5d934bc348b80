"""The methods that a benchmark compares: baselines and ablations of the paper, what its reviewers asked for, and more.

This file alone defines a method: what its models learn from, and how it answers a held-out problem.
"""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from evaluation.record import Record
from evaluation.registry import OneOf, Registry

PERSONAS = (
    "You are an accountant. Do one operation at a time and write down every result before you go on.",
    "You are a planner. Say first into which parts the problem falls, solve each part, then put them together.",
    "You are a sceptic. Once you have an answer, work it out in a second way, and mend what does not agree.",
)
"""For the method `personas`: three ways of reasoning that go wrong in different places."""


class Method(Record):
    """A method of the benchmark: one row of the table."""

    title: str
    about: str = Field(description="What it is, with its place in the paper (arXiv 2501.05707).")
    learns: Literal["nothing", "own", "role", "all"] = Field(
        default="nothing",
        description="nothing: the base answers. own: each agent learns from its own words. role: from "
        "the words of all agents of its role. all: one model learns from all agents and then plays every agent.",
    )
    from_debates: bool = Field(default=False, description="Whether it learns from debates of M rounds, or N samples.")
    sees_labels: bool = Field(default=False, description="Learns from reference answers, not from the vote.")
    answers: Literal["sample", "vote", "debate"] = Field(
        description="sample: mean over N samples. vote: majority of N samples. debate: vote of a debate's last round."
    )
    debate: dict[str, JsonValue] = Field(default={}, description="Debate settings that differ from the benchmark's.")
    agents: int | None = Field(default=None, description="Its own N; None for the benchmark's.")
    mixed: bool = Field(default=False, description="Uses base_models; all other methods use base_model.")
    matched: bool = Field(default=False, description="Samples as many tokens as multiagent finetuning.")

    @property
    def finetuned(self) -> bool:
        """Whether its models are finetuned, so that it has iterations."""
        return self.learns != "nothing"

    def rounds(self, m: int, training: bool) -> int:
        """Rounds of its debates over training or held-out problems, if the benchmark's debates have m."""
        debates = self.from_debates if training else self.answers == "debate"
        return m if debates else 1


METHODS: Registry[Method] = Registry("method")
"""All methods, in the order of the table."""

METHODS.add("base")(
    Method(
        title="base",
        about="One sample of the base (Table 1): the mean over N samples. Its cost is that of all N.",
        answers="sample",
    )
)
METHODS.add("majority")(Method(title="majority", about="Vote over N samples of the base (Table 1).", answers="vote"))
METHODS.add("debate")(Method(title="debate", about="N untuned agents debate for M rounds (Table 1).", answers="debate"))
METHODS.add("majority-matched")(
    Method(
        title="majority, matched",
        about="Vote over samples of the base, with as many tokens as multiagent FT (not in the paper).",
        answers="vote",
        matched=True,
    )
)
METHODS.add("debate-matched")(
    Method(
        title="debate, matched",
        about="Vote over untuned debates, with as many tokens as multiagent FT (not in the paper).",
        answers="debate",
        matched=True,
    )
)
METHODS.add("star")(
    Method(
        title="STaR, sees labels",
        about="One model learns from its own responses that match the reference answer; if it fails, it tries again "
        "with that answer as a hint (Table 1; Zelikman et al. 2022). The only method that sees labels. It answers by a "
        "vote of N samples.",
        learns="all",
        sees_labels=True,
        answers="vote",
    )
)
METHODS.add("majority-ft")(
    Method(
        title="majority FT",
        about="One model learns from its own samples that match their vote (Table 1). It answers by such a vote.",
        learns="all",
        answers="vote",
    )
)
METHODS.add("single-ft")(
    Method(
        title="single-agent FT",
        about="One model learns from all agents' responses in debates; it answers by a vote of N samples "
        "(Table 2, Figure 5).",
        learns="all",
        from_debates=True,
        answers="vote",
    )
)
METHODS.add("single-ft-debate")(
    Method(
        title="single FT, debate",
        about="The model of single-agent FT debates with itself (Table 2).",
        learns="all",
        from_debates=True,
        answers="debate",
    )
)
METHODS.add("multiagent-ft")(
    Method(
        title="multiagent FT",
        about="Algorithm 1: every agent learns from its own responses that agree with the debate's vote (Table 1).",
        learns="own",
        from_debates=True,
        answers="debate",
    )
)
METHODS.add("without-summary")(
    Method(
        title="without summary",
        about="Critics read the other agents' full responses, not summaries (Table 2).",
        learns="own",
        from_debates=True,
        answers="debate",
        debate={"summarize": False},
    )
)
METHODS.add("without-critics")(
    Method(
        title="without critics",
        about="Generation agents alone: their vote gives the labels and the answers (Table 2).",
        learns="own",
        answers="vote",
    )
)
METHODS.add("five-agents")(
    Method(
        title="five agents",
        about="N = 5 agents of each role (appendix).",
        learns="own",
        from_debates=True,
        answers="debate",
        agents=5,
    )
)
METHODS.add("pooled")(
    Method(
        title="pooled data",
        about="Every generator learns from all generators' words, every critic from all critics': no specialisation "
        "(not in the paper).",
        learns="role",
        from_debates=True,
        answers="debate",
    )
)
METHODS.add("ring")(
    Method(
        title="ring",
        about="Every critic reads one other agent, the one before it (Li et al. 2024, arXiv 2406.11776).",
        learns="own",
        from_debates=True,
        answers="debate",
        debate={"topology": "ring"},
    )
)
METHODS.add("sparse")(
    Method(
        title="sparse",
        about="Every critic reads half of the others, drawn for each problem and round (Li et al. 2024).",
        learns="own",
        from_debates=True,
        answers="debate",
        debate={"topology": "sparse"},
    )
)
METHODS.add("personas")(
    Method(
        title="personas",
        about="Each agent is told to reason in its own way: step by step, from a plan, or with a check (a "
        "direction that the paper names; Chan et al. 2024, arXiv 2308.07201).",
        learns="own",
        from_debates=True,
        answers="debate",
        debate={"personas": [*PERSONAS]},
    )
)
METHODS.add("early-stop")(
    Method(
        title="four rounds, stop",
        about="M = 4, but a problem on which all agree is not debated further (more rounds: Du et al. 2023, arXiv "
        "2305.14325; ending a debate early: Liang et al. 2023, arXiv 2305.19118).",
        learns="own",
        from_debates=True,
        answers="debate",
        debate={"rounds": 4, "stop_on_consensus": True},
    )
)
METHODS.add("confidence-vote")(
    Method(
        title="confidence vote",
        about="The vote, for labels and for answers, weighs each answer of the last round by its agent's confidence, "
        "the geometric mean of the probabilities of its words (Wang et al. 2023, arXiv 2203.11171).",
        learns="own",
        from_debates=True,
        answers="debate",
        debate={"vote": "confidence"},
    )
)
METHODS.add("json-messages")(
    Method(
        title="JSON messages",
        about="Critics read each other agent's answer and steps as JSON (a direction that the paper names; Chen et al. "
        "2024, arXiv 2402.18439).",
        learns="own",
        from_debates=True,
        answers="debate",
        debate={"messages": "json"},
    )
)
METHODS.add("mixed-bases")(
    Method(
        title="different bases",
        about="The agents are finetuned from different base models, those of base_models (a direction that the paper "
        "names; Wang et al. 2024, arXiv 2406.04692).",
        learns="own",
        from_debates=True,
        answers="debate",
        mixed=True,
    )
)

MethodName = Annotated[str, OneOf(METHODS)]
"""A name in METHODS."""
REFERENCE = "multiagent-ft"
"""The method that all others are compared with, and whose number of tokens the matched methods have."""
