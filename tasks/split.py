"""Split: the dataset of one agent, from its own words that agreed with the consensus."""

import json

import pandas as pd

from agents.seeding import derive_seed
from agents.society import Agent
from agents.split import split as split_core
from evaluation.scores import Record
from infra.cache import step
from infra.frames import read_problems, read_responses
from infra.home import current_home
from infra.store import Artifact, Store


class Dataset(Record):
    """One agent's examples: a frame with the one column messages, a conversation as JSON."""

    examples: Artifact


@step("agents.split", "agents.debate", "agents.prompts", "evaluation", name="{label} · split · {agent.name}")
def split(
    agent: Agent,
    problems: Artifact,
    responses: list[Artifact],
    votes: Artifact,
    critic_mix: float,
    seed: int,
    iteration: int,
    label: str,
) -> Dataset:
    """D^G_n of a generation agent, D^C_n of a critic agent."""
    store = Store(current_home().artifacts)
    counted = store.frame(votes)
    kept = counted[counted["kept"]]
    examples = split_core(
        agent,
        read_problems(store, problems),
        read_responses(store, responses),
        dict(zip(kept["problem_id"], kept["answer"], strict=True)),
        critic_mix,
        derive_seed(seed, "split", iteration, agent.name),
    )
    frame = pd.DataFrame({"messages": pd.Series([json.dumps(example) for example in examples], dtype="object")})
    return Dataset(examples=store.put_frame(frame))
