"""A run, agents that learn and settings, for tests of finetuning by jobs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents import steps
from agents.engines.base_model import identify_bases
from agents.engines.openai import OpenAISettings
from agents.hosted.adapter import HostedAdapter, read_hosted
from agents.hosted.journal import Journal
from agents.run import Run
from agents.store import Store
from agents.training.learner import Adapter, Learner, write_files
from agents.training.methods.jobs import Jobs
from tests.agents.engine_samples import quiet
from tests.jobs_server import BASE, JobsServer

SOON = {"poll_seconds": 0.02, "timeout_seconds": 20.0, "epochs": 1}


def settings(server: JobsServer, **given: Any) -> Jobs:
    return Jobs(**{"service": "openai", "url": server.url, "model": BASE, **SOON, **given})


def fireworks(server: JobsServer, **given: Any) -> Jobs:
    url = f"{server.url}/accounts/us"
    return settings(server, **{"service": "fireworks", "url": url, "deployment": "shared", **given})


def run(server: JobsServer, home: Path, base: Path, job: str = "a", **engine: Any) -> Run:
    return Run(
        steps=steps,
        bases=identify_bases([str(base)], False),
        engine=OpenAISettings(url=server.url, model=BASE, **engine),
        store=Store(home / "store"),
        journal=Journal(home / "paid" / job),
    )


def learner(number: int = 0, examples: int = 12, start: Path | None = None) -> Learner:
    """An agent with conversations, every other of which has an earlier turn of the agent."""
    found = []
    for place in range(examples):
        asked = {"role": "user", "content": f"Is card {100 * number + place} marked 1 or 2?"}
        said = {"role": "assistant", "content": "Check answer \\boxed{1}"}
        more = [{"role": "assistant", "content": "Solve step \\boxed{2}"}, {"role": "user", "content": "Look again."}]
        found.append([asked, *(more * (place % 2)), said])
    return Learner(found, seed=2**62 + number, start_from=start, name=f"generator-{number}")


def train(run: Run, jobs: Jobs, *learners: Learner, tell: Callable[[int, int], None] = quiet) -> list[Adapter]:
    return jobs.adapters(run, learners, base=run.bases.of(0), on_progress=tell)


def stored(adapter: Adapter, store: Store) -> tuple[str, HostedAdapter]:
    """The digest of an adapter that is put into the store, and what it says."""
    sha256 = store.put_folder(lambda folder: write_files(adapter.files, folder), adapter.examples).sha256
    hosted = read_hosted(store.folder(sha256))
    assert hosted is not None
    return sha256, hosted
