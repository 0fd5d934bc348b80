"""Split: the dataset of one agent, from its own words that agreed with the consensus."""

import json
from typing import Literal

import pandas as pd

from agents.frames import read_problems, read_responses
from agents.seeding import derive_seed
from agents.society import Agent
from agents.split import preferences
from agents.split import split as split_core
from agents.store import Artifact, Store
from evaluation.record import Record
from infra.home.cache import step
from infra.home.home import current_home


class Dataset(Record):
    """One agent's examples: a frame of conversations as JSON, messages, and for dpo what their last words are preferred
    to, rejected."""

    examples: Artifact


@step(
    "agents.split",
    "agents.debate.responses",
    "agents.debate.prompts",
    "evaluation.answers.extract",
    "evaluation.answers.exact",
    "evaluation.answers.symbolic",
    name="{label} · split · {agent.name}",
)
def split(
    agent: Agent,
    problems: Artifact,
    responses: list[Artifact],
    votes: Artifact,
    critic_mix: float,
    seed: int,
    iteration: int,
    method: Literal["sft", "dpo"],
    label: str,
) -> Dataset:
    """D^G_n of a generation agent, D^C_n of a critic agent; for dpo, the pairs of either."""
    store = Store(current_home().artifacts)
    counted = store.frame(votes)
    kept = counted[counted["kept"]]
    asked, said = read_problems(store, problems), read_responses(store, responses)
    consensus = dict(zip(kept["problem_id"], kept["answer"], strict=True))
    if method == "dpo":
        pairs = preferences(agent, asked, said, consensus)
        columns = {"messages": [json.dumps(pair.chosen) for pair in pairs], "rejected": [p.rejected for p in pairs]}
    else:
        own_seed = derive_seed(seed, "split", iteration, agent.name)
        examples = split_core(agent, asked, said, consensus, critic_mix, own_seed)
        columns = {"messages": [json.dumps(example) for example in examples]}
    return Dataset(examples=store.put_frame(pd.DataFrame(columns, dtype="object")))


@step(name="{label} · pool")
def pool(datasets: list[Artifact], label: str) -> Dataset:
    """The examples of several agents as one dataset, in the order of the agents."""
    store = Store(current_home().artifacts)
    frames = [store.frame(dataset) for dataset in datasets]
    return Dataset(examples=store.put_frame(pd.concat(frames, ignore_index=True)))
