"""The methods that a benchmark compares: baselines and ablations of the paper, what its reviewers asked for, and more.

All that sets a method apart is said here, once: what its models learn from, and how it answers a held-out problem.
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
"""Of the method of that name: three ways of reasoning that go wrong in different places."""


class Method(Record):
    """One row of the table."""

    title: str
    about: str = Field(description="What it is, with its place in the paper (arXiv 2501.05707).")
    learns: Literal["nothing", "own", "role", "all"] = Field(
        default="nothing",
        description="nothing: it is the base. own: each agent its own words. role: every generator those of all "
        "generators, every critic those of all critics. all: one model everything, which then plays every agent.",
    )
    from_debates: bool = Field(default=False, description="Learns from debates of M rounds; else from N samples.")
    sees_labels: bool = Field(default=False, description="Learns what matches the reference answer, not the vote.")
    answers: Literal["sample", "vote", "debate"] = Field(
        description="sample: the mean over N single samples. vote: majority of N samples. debate: of the last round."
    )
    debate: dict[str, JsonValue] = Field(default={}, description="Its own settings of a debate; else the benchmark's.")
    agents: int | None = Field(default=None, description="Its own N; else the benchmark's.")
    mixed: bool = Field(default=False, description="Its agents are of base_models; of all others, of base_model.")
    matched: bool = Field(default=False, description="Has as many sampled tokens as multiagent finetuning took.")

    @property
    def finetuned(self) -> bool:
        """Whether it has iterations."""
        return self.learns != "nothing"

    def rounds(self, m: int, training: bool) -> int:
        """Rounds of a debate over training or held-out problems, where the benchmark's are m."""
        debates = self.from_debates if training else self.answers == "debate"
        return m if debates else 1


METHODS: Registry[Method] = Registry("method")
"""In the order of the table."""

METHODS.add("base")(
    Method(
        title="base",
        about="One sample of the base (Table 1), as the mean of N; it is charged for all of them.",
        answers="sample",
    )
)
METHODS.add("majority")(Method(title="majority", about="Vote over N samples of the base (Table 1).", answers="vote"))
METHODS.add("debate")(Method(title="debate", about="N untuned agents debate for M rounds (Table 1).", answers="debate"))
METHODS.add("majority-matched")(
    Method(
        title="majority, matched",
        about="Vote over as many samples of the base as multiagent FT took tokens for (not in the paper).",
        answers="vote",
        matched=True,
    )
)
METHODS.add("debate-matched")(
    Method(
        title="debate, matched",
        about="Vote over as many untuned debates as multiagent FT took tokens for (not in the paper).",
        answers="debate",
        matched=True,
    )
)
METHODS.add("star")(
    Method(
        title="STaR, sees labels",
        about="One model on its own chains that match the reference answer; failures are tried again with that answer "
        "as a hint (Table 1; Zelikman et al. 2022). The only one that sees labels. It answers by a vote of N samples.",
        learns="all",
        sees_labels=True,
        answers="vote",
    )
)
METHODS.add("majority-ft")(
    Method(
        title="majority FT",
        about="One model on its own chains that match the vote over N samples (Table 1). It answers by such a vote.",
        learns="all",
        answers="vote",
    )
)
METHODS.add("single-ft")(
    Method(
        title="single-agent FT",
        about="One model on all that a society's agents learn from, their debates; it answers by a vote of N samples "
        "(Table 2, Figure 5).",
        learns="all",
        from_debates=True,
        answers="vote",
    )
)
METHODS.add("single-ft-debate")(
    Method(
        title="single FT, debate",
        about="The same model debates with itself (Table 2).",
        learns="all",
        from_debates=True,
        answers="debate",
    )
)
METHODS.add("multiagent-ft")(
    Method(
        title="multiagent FT",
        about="Algorithm 1: every agent on its own words that agree with the debate's vote (Table 1).",
        learns="own",
        from_debates=True,
        answers="debate",
    )
)
METHODS.add("without-summary")(
    Method(
        title="without summary",
        about="Critics read the others' very words (Table 2).",
        learns="own",
        from_debates=True,
        answers="debate",
        debate={"summarize": False},
    )
)
METHODS.add("without-critics")(
    Method(
        title="without critics",
        about="Generation agents alone: their vote labels, and their vote answers (Table 2).",
        learns="own",
        answers="vote",
    )
)
METHODS.add("five-agents")(
    Method(
        title="five agents",
        about="N = 5 (appendix).",
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
        about="Each agent is told to reason in a way of its own: step by step, from a plan, or with a check (a "
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
        about="Every answer of the last round counts as much as its agent was sure of it, the geometric mean of its "
        "words' probabilities, for the labels and for the answer (Wang et al. 2023, arXiv 2203.11171).",
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
"""A name in METHODS, which has them in the order of the table."""
REFERENCE = "multiagent-ft"
"""What the others are compared with, and whose tokens the matched ones have."""
