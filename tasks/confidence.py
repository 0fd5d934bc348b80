"""Confidence: what the answers of the last round weigh in the vote."""

import time

from agents.engines.base_model import Bases
from agents.engines.resident import resident
from agents.society import Society
from infra.cache import step
from infra.config import Runner
from infra.frames import read_problems, read_responses
from infra.home import current_home
from infra.progress import progress
from infra.store import Artifact, Store
from tasks.sample import CALLS, Responses


@step(*CALLS, "agents.confidence", "agents.likelihood", "agents.training.sft", name="{label} · confidence")
def confidence(
    bases: Bases, society: Society, problems: Artifact, debated: list[Responses], runner: Runner, label: str
) -> Responses:
    """The last round of a debate, each response with its weight; seconds are those of the round and of reading it."""
    # Imports torch, which a job served from cache should not wait for.
    from agents.confidence import confidence as core

    started = time.monotonic()
    store = Store(current_home().artifacts)
    engine = resident(bases, runner.device, runner.batch_rows, store.folders)
    said = read_responses(store, [each.responses for each in debated])
    with progress(f"{label} · confidence") as tell:
        frame = core(engine, society, read_problems(store, problems), said, tell)
    seconds = debated[-1].seconds + time.monotonic() - started
    return debated[-1].model_copy(update={"responses": store.put_frame(frame), "seconds": seconds})
