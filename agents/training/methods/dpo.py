"""Direct preference optimization: an agent learns to prefer its responses that match the consensus over the others."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import pandas as pd
from pydantic import ConfigDict, Field

from agents.debate.responses import Said
from agents.engines.protocol import OnProgress
from agents.society import Agent
from agents.split import Example, agrees
from agents.training.methods import METHODS
from agents.training.settings import FinetuneSettings
from evaluation.problems.problem import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from agents.training.adapters import Trained
    from agents.training.learner import Learner


@METHODS.add("dpo")
class Dpo(FinetuneSettings):
    """Preferences between an agent's own responses (Rafailov et al. 2023, arXiv 2305.18290)."""

    model_config = ConfigDict(title="dpo")

    method: Literal["dpo"] = Field(
        default="dpo",
        title="Method",
        description="an agent learns to prefer its own responses that match the consensus over its own responses to "
        "the same problem that do not.",
    )

    def dataset(
        self,
        agent: Agent,
        problems: Sequence[Problem],
        said: Said,
        *,
        consensus: Mapping[str, str],
        seed: int,
    ) -> pd.DataFrame:
        """The preference pairs of one agent; the rejected responses are in the column `rejected`."""
        pairs = preferences(agent, problems, said, consensus=consensus)
        columns = {"messages": [json.dumps(pair.chosen) for pair in pairs], "rejected": [p.rejected for p in pairs]}
        return pd.DataFrame(columns, dtype="object")

    def train(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        learners: "Sequence[Learner]",
        on_progress: OnProgress,
    ) -> "list[Trained]":
        """Train one agent after another, with TRL."""
        # Imported here, since it imports torch and TRL, which takes seconds.
        from agents.training.dpo import finetune

        return finetune(model, tokenizer, learners, self, on_progress)


class Pair(NamedTuple):
    """Two endings of one conversation, both of them the agent's own responses."""

    chosen: Example
    rejected: str
    """The response that replaces the last message of `chosen`."""


def preferences(agent: Agent, problems: Sequence[Problem], said: Said, *, consensus: Mapping[str, str]) -> list[Pair]:
    """The preference pairs of one agent: problems on which some of its responses match the consensus and some do not.

    A generation agent gets the prompt of round 1, and prefers its first response that matches over its first that does
    not. A critic agent gets the prompt of the last round after its own earlier turns, and prefers its last response
    that matches over its last that does not. So a critic learns to correct itself if it did, and to keep an answer that
    matched if it was talked out of it.

    Args:
        said: the responses of all agents in all rounds.
        consensus: y^ by problem id; a problem without a consensus is not in it and enters no dataset.
    """
    index, rounds = agent.index, int(said.responses["round"].max())
    pairs = []
    for problem in problems:
        words: dict[bool, list[str]] = {True: [], False: []}
        for round_ in range(1, said.rounds(problem, index) + 1) if problem.id in consensus else ():
            right = agrees(said, problem, index, round_, consensus)
            if not right or said.finished(problem, index, round_):
                words[right] += said.by(problem, [index], round_)
        if words[True] and words[False]:
            generates = agent.role == "generator"
            asked = said.conversation(problem, index, 1 if generates else rounds)[:-1]
            place = 0 if generates else -1
            pairs.append(Pair([*asked, {"role": "assistant", "content": words[True][place]}], words[False][place]))
    return pairs
