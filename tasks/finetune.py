"""Finetune: every agent learns from its own dataset, all agents of a base together."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator

from agents.engines.base_model import Base, Bases
from agents.engines.registry import resident
from agents.seeding import derive_seed
from agents.society import Agent
from agents.store import Artifact, Store
from agents.training.settings import Finetune
from evaluation.record import Record
from infra.config.job import Runner
from infra.home.cache import step
from infra.home.home import current_home
from infra.home.progress import progress


class Finetuned(Record):
    """An agent after an iteration. `adapter` is None where there was nothing to learn from; the agent is unchanged."""

    agent: Agent
    adapter: Artifact | None
    examples: int
    skipped: int = 0
    trained_tokens: int = 0
    first_loss: float | None = None
    last_loss: float | None = None
    seconds: float = 0.0
    """Its share, by tokens, of the time in which the agents of its base were trained together."""


@step("agents.training", "agents.engines.chat", "agents.seeding", name="{label} · finetune")
def finetune(
    bases: Bases,
    agents: list[Agent],
    datasets: list[Artifact],
    settings: Finetune,
    seed: int,
    iteration: int,
    runner: Runner,
    label: str,
) -> list[Finetuned]:
    """Train each agent's adapter on its D_n, from the base or from its previous generation; in the agents' order."""
    learning: dict[Base, list[tuple[Agent, Artifact]]] = defaultdict(list)
    for agent, dataset in zip(agents, datasets, strict=True):
        if dataset.rows:
            learning[bases.of(agent.index)].append((agent, dataset))
    learned: dict[str, Finetuned] = {}
    for own in learning.values():
        learned |= _train_together(bases, own, settings, seed, iteration, runner, label)
    return [learned.get(agent.name) or Finetuned(agent=agent, adapter=None, examples=0) for agent in agents]


def _train_together(
    bases: Bases,
    learning: list[tuple[Agent, Artifact]],
    settings: Finetune,
    seed: int,
    iteration: int,
    runner: Runner,
    label: str,
) -> Iterator[tuple[str, Finetuned]]:
    """The agents of one base, by name."""
    # These import torch, which a job served from cache should not wait for, and TRL, which few need.
    from agents.training.adapters import Learner

    if settings.method == "dpo":
        from agents.training.dpo import finetune as train
    else:
        from agents.training.sft.train import finetune as train

    started = time.monotonic()
    store = Store(current_home().artifacts)
    engine = resident(bases, runner.device, runner.batch_rows, store.folders).of(learning[0][0].index)
    learners = []
    for agent, dataset in learning:
        frame = store.frame(dataset)
        learners.append(
            Learner(
                examples=[json.loads(text) for text in frame["messages"]],
                seed=derive_seed(seed, "finetune", iteration, agent.name),
                start_from=store.folder(agent.adapter) if settings.start == "previous" and agent.adapter else None,
                rejected=frame["rejected"].tolist() if settings.method == "dpo" else (),
            )
        )
    with progress(f"{label} · finetune") as tell:
        results = train(engine.model, engine.tokenizer, learners, settings, tell)
    seconds, tokens = time.monotonic() - started, sum(result.tokens for result in results)
    for (agent, dataset), result in zip(learning, results, strict=True):
        adapter = store.put_folder(result.save, dataset.rows) if result.examples else None
        yield (
            agent.name,
            Finetuned(
                agent=agent.model_copy(update={"adapter": adapter.sha256}) if adapter else agent,
                adapter=adapter,
                examples=result.examples,
                skipped=result.skipped,
                trained_tokens=result.tokens,
                first_loss=result.first_loss,
                last_loss=result.last_loss,
                seconds=seconds * result.tokens / max(1, tokens),
            ),
        )
