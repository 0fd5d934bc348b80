"""Finetune: one agent learns from its own dataset."""

import json
import time
from pathlib import Path

from agents.engines.base_model import Base
from agents.engines.resident import resident
from agents.seeding import derive_seed
from agents.society import Agent
from agents.training import sft
from agents.training.sft import Finetune, Trained
from evaluation.scores import Record
from infra.cache import step
from infra.config import Runner
from infra.home import current_home
from infra.progress import progress
from infra.store import Artifact, Store


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


@step("agents.training", "agents.chat", "agents.seeding", name="{label} · finetune · {agent.name}")
def finetune(
    base: Base,
    agent: Agent,
    dataset: Artifact,
    settings: Finetune,
    seed: int,
    iteration: int,
    runner: Runner,
    label: str,
) -> Finetuned:
    """Train the agent's adapter on D_n, from the base or from its previous generation."""
    if not dataset.rows:
        return Finetuned(agent=agent, adapter=None, examples=0)
    started = time.monotonic()
    store = Store(current_home().artifacts)
    engine = resident(base, runner.device, runner.batch_rows, store.folders)
    examples = [json.loads(text) for text in store.frame(dataset)["messages"]]
    start_from = store.folder(agent.adapter) if settings.start == "previous" and agent.adapter else None
    trained: list[Trained] = []

    def write(folder: Path) -> None:
        own_seed = derive_seed(seed, "finetune", iteration, agent.name)
        with progress(f"{label} · finetune · {agent.name}") as tell:
            trained.append(
                sft.finetune(engine.model, engine.tokenizer, examples, settings, start_from, folder, own_seed, tell)
            )

    adapter = store.put_folder(write, dataset.rows)
    result = trained[0]
    return Finetuned(
        agent=agent.model_copy(update={"adapter": adapter.sha256}),
        adapter=adapter,
        examples=result.examples,
        skipped=result.skipped,
        trained_tokens=result.tokens,
        first_loss=result.first_loss,
        last_loss=result.last_loss,
        seconds=time.monotonic() - started,
    )
