"""Step 5 of Algorithm 1: A^G_n learns D^G_n and A^C_n learns D^C_n, each from its own dataset alone."""

import json
import time
from collections import defaultdict
from collections.abc import Sequence

from agents.engines.base_model import Base
from agents.engines.transformers.resident import resident
from agents.records import Dataset, Finetuned, Stream
from agents.run import Run
from agents.seeding import derive_seed
from agents.society import Agent
from agents.training.settings import FinetuneSettings


def finetune(
    run: Run, agents: Sequence[Agent], *, datasets: Sequence[Dataset], settings: FinetuneSettings, stream: Stream
) -> list[Finetuned]:
    """Train each agent's adapter on its D_n, starting anew or from the agent's previous adapter.

    Args:
        run: the base models and the store; agents of one base are trained together.
        agents: the agents that learn.
        datasets: one dataset for each agent; an agent with an empty dataset is not changed.
        settings: the training method and its hyperparameters.
        stream: the random stream of the debate that is learned from; the seeds come from it.

    Returns:
        The result of each agent, in the order of the agents.

    Raises:
        DivergenceError: the training of an agent diverged; see `finetune.on_divergence`.
    """
    learning: dict[Base, list[tuple[Agent, Dataset]]] = defaultdict(list)
    for agent, dataset in zip(agents, datasets, strict=True):
        if dataset.examples.rows:
            learning[run.bases.of(agent.index)].append((agent, dataset))
    learned = {each.agent.name: each for own in learning.values() for each in _together(run, own, settings, stream)}
    return [learned.get(agent.name) or Finetuned(agent=agent, adapter=None, examples=0) for agent in agents]


def _together(
    run: Run, learning: Sequence[tuple[Agent, Dataset]], settings: FinetuneSettings, stream: Stream
) -> list[Finetuned]:
    """Train the agents of one base together."""
    # Imported here, since it imports torch, which takes seconds and is not needed by a job served from cache.
    from agents.training.adapters import Learner

    started = time.monotonic()
    engine = resident(run.bases, run.runner, run.store.folders).of(learning[0][0].index)
    learners = []
    for agent, dataset in learning:
        frame = run.store.frame(dataset.examples)
        goes_on = settings.start == "previous" and agent.adapter
        learners.append(
            Learner(
                examples=[json.loads(text) for text in frame["messages"]],
                seed=derive_seed(stream.seed, "finetune", stream.iteration, agent.name),
                start_from=run.store.folder(agent.adapter) if goes_on and agent.adapter else None,
                beside={str(column): frame[column].tolist() for column in frame.columns.drop("messages")},
                name=agent.name,
            )
        )
    with run.progress(f"{run.label} · finetune") as tell:
        results = settings.train(engine.model, engine.tokenizer, learners, tell)
    seconds, tokens = time.monotonic() - started, sum(result.tokens for result in results)
    finetuned = []
    for (agent, dataset), result in zip(learning, results, strict=True):
        adapter = run.store.put_folder(result.save, dataset.examples.rows) if result.examples else None
        finetuned.append(
            Finetuned(
                agent=agent.model_copy(update={"adapter": adapter.sha256}) if adapter else agent,
                adapter=adapter,
                examples=result.examples,
                skipped=result.skipped,
                trained_tokens=result.tokens,
                first_loss=result.first_loss,
                last_loss=result.last_loss,
                seconds=seconds * result.tokens / max(1, tokens),
            )
        )
    return finetuned
