"""What the steps of a Prefect flow use: the home's store, and progress on the terminal and in the UI."""

from dataclasses import replace
from functools import partial

from agents.engines.base_model import Bases
from agents.hosted.journal import Journal
from agents.run import Run
from infra.config.benchmark import Benchmark
from infra.config.job import Config
from infra.home.progress import progress
from infra.home.store import current_store
from tasks import steps


def run_of(config: Config | Benchmark, bases: Bases) -> Run:
    """A run with cached steps on these base models; engine, runner, prompts and grader are those of the config."""
    return Run(
        steps=steps,
        bases=bases,
        engine=config.engine,
        store=current_store(),
        prompts=config.prompts.texts,
        answers=config.answers,
        runner=config.runner,
        name=config.society,
        progress=partial(progress, who=config.runner.who_works),
        hosted=config.hosted_agents if isinstance(config, Config) else None,
    )


PAID = "paid"
"""The folder of a store that holds the journals of what services were paid for, one folder for each job."""


def paid_once(run: Run, job: str) -> Run:
    """The same run, which keeps what a service is paid for under the job's id; a run without a service is unchanged."""
    asks = any(side.engine.asks_server for _, side in run.sides)
    return replace(run, journal=Journal(run.store.root / PAID / job)) if asks else run
