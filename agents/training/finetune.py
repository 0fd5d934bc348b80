"""Step 5 of Algorithm 1: A^G_n learns D^G_n and A^C_n learns D^C_n, each from its own dataset alone."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from agents.engines.base_model import Base
from agents.engines.protocol import OnProgress
from agents.engines.transformers.resident import TURN
from agents.hosted.beside import beside
from agents.hosted.section import in_hosted
from agents.records import Dataset, Finetuned, Stream
from agents.run import Run
from agents.runners.local import Local
from agents.runners.settings import Part
from agents.seeding import derive_seed
from agents.society import Agent
from agents.training.learner import Adapter, Learner, write_files
from agents.training.settings import FinetuneSettings


def finetune(
    run: Run, agents: Sequence[Agent], *, datasets: Sequence[Dataset], settings: FinetuneSettings, stream: Stream
) -> list[Finetuned]:
    """Train each agent's adapter on its D_n, starting anew or from the agent's previous adapter.

    Args:
        run: the base models and the store; agents of one base are trained together. Agents at a service are trained
            there, and at the same time the others here.
        agents: the agents that learn.
        datasets: one dataset for each agent; an agent with an empty dataset is not changed.
        settings: the training method and its hyperparameters; agents at a service have those of `run.hosted`.
        stream: the random stream of the debate that is learned from; the seeds come from it.

    Returns:
        The result of each agent, in the order of the agents.

    Raises:
        DivergenceError: the training of an agent diverged; see `finetune.on_divergence`.
    """
    learning = [(agent, dataset) for agent, dataset in zip(agents, datasets, strict=True) if dataset.examples.rows]
    here = [each for each in learning if not run.at_service(each[0].index)]
    elsewhere = [each for each in learning if run.at_service(each[0].index)]
    if not elsewhere:
        learned = _here(run, here, settings, stream) if here else []
    else:
        side, method = run.side(elsewhere[0][0].index), run.method_of(elsewhere[0][0].index, settings)

        def by_service(note: OnProgress) -> list[Finetuned]:
            with in_hosted():
                return _together(side, elsewhere, method, stream, note)

        with beside(by_service) as service:
            with TURN:
                learned = _here(run, here, settings, stream, service.progress) if here else []
            with run.progress(f"{run.label} · finetune at the service") as tell:
                learned += service.result(tell)
    by_name = {each.agent.name: each for each in learned}
    return [by_name.get(agent.name) or Finetuned(agent=agent, adapter=None, examples=0) for agent in agents]


def _here(
    run: Run,
    learning: Sequence[tuple[Agent, Dataset]],
    settings: FinetuneSettings,
    stream: Stream,
    look: Callable[[], object] = lambda: None,
) -> list[Finetuned]:
    """Train agents base by base; `look` raises an error if what is done beside it has failed."""
    run = run.side(learning[0][0].index)
    of: dict[Base, list[tuple[Agent, Dataset]]] = defaultdict(list)
    for agent, dataset in learning:
        of[run.bases.of(agent.index)].append((agent, dataset))
    learned = []
    for own in of.values():
        with run.progress(f"{run.label} · finetune") as tell:

            def told(done: int, total: int, tell: OnProgress = tell) -> None:
                look()
                tell(done, total)

            learned += _together(run, own, settings, stream, told)
    return learned


@dataclass(frozen=True)
class _Pupil:
    """An agent that learns, and its dataset as columns: the conversations, and what the method has beside them."""

    agent: Agent
    seed: int
    start_from: str | None
    """The digest of the adapter that it goes on from."""
    columns: dict[str, list[str]]


def _together(
    run: Run,
    learning: Sequence[tuple[Agent, Dataset]],
    settings: FinetuneSettings,
    stream: Stream,
    on_progress: OnProgress,
) -> list[Finetuned]:
    """Train the agents of one base together, or as many of them as there are in one of the runner's places."""
    started = time.monotonic()
    pupils = [_pupil(run, agent, dataset, settings, stream) for agent, dataset in learning]
    runner = Local() if settings.asks_service else run.runner
    shares = _shares([dataset.examples.rows for _, dataset in learning], runner.places)
    parts = [
        Part(
            ([pupils[place] for place in places], settings),
            sum(learning[place][1].examples.rows for place in places),
            frozenset(start for place in places if (start := pupils[place].start_from)),
        )
        for places in shares
    ]
    trained = runner.do(_train, run, parts, on_progress)
    results: dict[int, Adapter] = {}
    for places, own in zip(shares, trained, strict=True):
        results |= zip(places, own, strict=True)
    seconds, tokens = time.monotonic() - started, sum(result.tokens for result in results.values())
    finetuned = []
    for place, (agent, dataset) in enumerate(learning):
        result = results[place]
        write, rows = partial(write_files, result.files), dataset.examples.rows
        adapter = run.store.put_folder(write, rows) if result.examples else None
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


def _pupil(run: Run, agent: Agent, dataset: Dataset, settings: FinetuneSettings, stream: Stream) -> _Pupil:
    frame = run.store.frame(dataset.examples)
    return _Pupil(
        agent=agent,
        seed=derive_seed(stream.seed, "finetune", stream.iteration, agent.name),
        start_from=agent.adapter if settings.start == "previous" else None,
        columns={str(column): frame[column].tolist() for column in frame.columns},
    )


def _shares(sizes: Sequence[int], places: int) -> list[list[int]]:
    """Indices of the agents for each place, with about the same number of examples in each; no share is empty."""
    shares: list[list[int]] = [[] for _ in range(places)]
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        min(shares, key=lambda share: sum(sizes[other] for other in share)).append(place)
    return [sorted(share) for share in shares if share]


def _train(run: Run, given: tuple[Sequence[_Pupil], FinetuneSettings], on_progress: OnProgress) -> list[Adapter]:
    pupils, settings = given
    learners = [
        Learner(
            examples=[json.loads(text) for text in pupil.columns["messages"]],
            seed=pupil.seed,
            start_from=run.store.folder(pupil.start_from) if pupil.start_from else None,
            beside={column: values for column, values in pupil.columns.items() if column != "messages"},
            name=pupil.agent.name,
        )
        for pupil in pupils
    ]
    return settings.adapters(run, learners, base=run.bases.of(pupils[0].agent.index), on_progress=on_progress)
