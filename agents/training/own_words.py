"""The dataset of supervised finetuning, wherever it is done: an agent's own words that match the consensus."""

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from agents.debate.responses import Said
from agents.society import Agent
from agents.split import own_words
from agents.training.settings import FinetuneSettings
from evaluation.problems.problem import Problem


class OwnWords(FinetuneSettings):
    """A method that learns D_n as the paper defines it."""

    def dataset(
        self,
        agent: Agent,
        problems: Sequence[Problem],
        said: Said,
        *,
        consensus: Mapping[str, str],
        seed: int,
    ) -> pd.DataFrame:
        """The dataset D_n of one agent, see `agents.split.own_words`."""
        examples = own_words(agent, problems, said, consensus=consensus, critic_mix=self.critic_mix, seed=seed)
        return pd.DataFrame({"messages": [json.dumps(example) for example in examples]}, dtype="object")
