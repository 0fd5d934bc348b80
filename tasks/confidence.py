"""Confidence: what the answers of the last round weigh in the vote."""

import time

from agents.engines.base_model import Bases
from agents.engines.registry import resident
from agents.frames import read_problems, read_responses
from agents.society import Society
from agents.store import Artifact, Store
from infra.config.job import Runner
from infra.home.cache import step
from infra.home.home import current_home
from infra.home.progress import progress
from tasks.sample import CALLS, Responses


@step(
    *CALLS,
    "agents.judging.confidence",
    "agents.judging.likelihood",
    "agents.training.examples",
    name="{label} · confidence",
)
def confidence(
    bases: Bases, society: Society, problems: Artifact, debated: list[Responses], runner: Runner, label: str
) -> Responses:
    """The last round of a debate, each response with its weight; seconds are those of the round and of reading it."""
    # Imports torch, which a job served from cache should not wait for.
    from agents.judging.confidence import confidence as core

    started = time.monotonic()
    store = Store(current_home().artifacts)
    engine = resident(bases, runner.device, runner.batch_rows, store.folders)
    said = read_responses(store, [each.responses for each in debated])
    with progress(f"{label} · confidence") as tell:
        frame = core(engine, society, read_problems(store, problems), said, tell)
    seconds = debated[-1].seconds + time.monotonic() - started
    return debated[-1].model_copy(update={"responses": store.put_frame(frame), "seconds": seconds})
