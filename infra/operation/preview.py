"""Previews a job: a debate over a few of its problems, and what the whole job is expected to take.

Everything is computed in a temporary folder. Nothing is written to the home, to Prefect or to MLflow.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import psutil

from agents import steps
from agents.engines import base_model
from agents.engines.base_model import Bases
from agents.engines.settings import EngineSettings
from agents.hosted.spending import priced
from agents.preview.forecast import Plan, forecast, usual_problems
from agents.preview.measure import take_sample
from agents.preview.memory import on_gpu
from agents.preview.records import Forecast, Preview
from agents.preview.warnings import Free, budget_warnings, notes_of, warnings_of
from agents.run import Progress, Run
from agents.society import Society
from agents.store import Store
from evaluation.problems.load import ProblemSets
from evaluation.problems.sources import load_problems
from evaluation.record import Record
from infra.config.bases import identify_bases
from infra.config.job import Config
from infra.home.home import Home
from infra.lineage import champion
from infra.lineage.model.save import BASE_FILES
from infra.lineage.origin import society_of
from infra.lineage.societies import next_generation
from infra.operation.environment import DEFAULTS

LIBRARIES = "import prefect, mlflow"
"""What every process of a job begins with; the time that it takes shows how fast and how busy the machine is."""


class Start(Record):
    """The generation that a job would start from."""

    society: Society
    first_generation: int
    evaluations: int
    """The number of generations that the job measures."""


def preview(config: Config, home: Home, *, problems: int | None, registry: bool, progress: Progress) -> Preview:
    """Debate over a few training problems of a job, and forecast the job.

    Args:
        config: the job.
        home: where the job would write.
        problems: number of problems to debate; None for `usual_problems`. More than the job has: all.
        registry: whether the MLflow server can be asked for the society's generations. It must be there if
            `config.start_from` is not base.
        progress: shows the progress of a step.

    Raises:
        UserError: there is no such generation, or it does not fit the config.
        ProblemFileError: a reference answer does not fit `answers.kind`.
        EngineError: the engine cannot be used, or gave up.
    """
    bases = identify_bases(config, config.bases)
    with TemporaryDirectory(prefix="maft-preview-") as folder:
        library_seconds = _library_seconds(folder)
        store = Store(Path(folder) / "store")
        start = _start(config, bases, store, registry=registry)
        sets = load_problems(config.problems, config.seed, start.first_generation - 1, grader=config.answers)
        run = Run(
            steps=steps,
            bases=bases,
            engine=config.engine,
            store=store,
            prompts=config.prompts.texts,
            answers=config.answers,
            runner=config.runner.of_one_place,
            name=config.society,
            label="preview",
            progress=progress,
            hosted=config.hosted_agents,
        )
        usual = usual_problems(len(sets.train), agents=config.agents, batch_rows=config.runner.batch_rows)
        taken = take_sample(
            run,
            start.society,
            problems=sets.train[: problems or usual],
            settings=config.settings,
            iteration=start.first_generation,
        )
        plan = _plan(config, sets, start, on_gpu=on_gpu(run))
    expected = with_cost(forecast(plan, taken.sample, library_seconds), config.service)
    return Preview(
        society=config.society,
        generation=start.society.generation,
        prompts="text" if config.engine.in_process and not config.hosted else "messages",
        shares=taken.shares,
        sample=taken.sample,
        forecast=expected,
        warnings=[
            *warnings_of(taken, expected, plan, max_new_tokens=config.sampling.max_new_tokens, free=_free(home)),
            *budget_warnings(expected, config.service),
        ],
        notes=[
            *notes_of(
                config.engine, service=_service(config), registry=registry, asked=problems, taken=taken.sample.problems
            ),
            *_of_one_place(config.runner.places),
            *(note for base in taken.tried for note in base.notes),
        ],
        conversations=taken.conversations,
    )


def _service(config: Config) -> Literal["", "some", "all"]:
    """Whether some agents or all are trained by a service."""
    if config.hosted:
        return "some"
    return "all" if config.finetune.asks_service else ""


def with_cost(forecast: Forecast, engine: EngineSettings) -> Forecast:
    """The forecast with what a service will take for the tokens, if its prices are known."""
    prices = priced(engine)
    if prices is None:
        return forecast
    return forecast.model_copy(update={"cost": prices.shown(prices.of(forecast.service))})


def _of_one_place(places: int) -> list[str]:
    """What to know of a forecast for several actors."""
    if places == 1:
        return []
    return [f"This was measured in this process, which works as one of {places} actors; all of them take less time."]


def _library_seconds(folder: str) -> float:
    """The time to start another Python with Prefect and MLflow, which make folders when they are imported."""
    started = time.monotonic()
    environment = {**DEFAULTS, **os.environ, "PREFECT_HOME": folder}
    subprocess.run([sys.executable, "-c", LIBRARIES], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.monotonic() - started


def _start(config: Config, bases: Bases, store: Store, *, registry: bool) -> Start:
    """The generation to start from, with its adapters in the store."""
    if not registry:
        society = Society.untuned(config.agents)
        return Start(society=society, first_generation=1, evaluations=config.iterations + 1)
    origin = champion.generation(config.society, config.start_from)
    best = champion.champion(config.society)
    other = (best and best.version) != (origin and origin.version)
    return Start(
        society=society_of(origin, config, bases, store) if origin else Society.untuned(config.agents),
        first_generation=1 if config.start_from == "base" else next_generation(config.society),
        evaluations=config.iterations + 1 + int(other),
    )


def _plan(config: Config, sets: ProblemSets, start: Start, *, on_gpu: bool) -> Plan:
    folders = {base_model.locate(name) for name in config.bases}
    return Plan(
        iterations=config.iterations,
        training=len(sets.train),
        held_out=len(sets.evaluation),
        evaluations=start.evaluations,
        agents=config.agents,
        epochs=config.finetune.epochs,
        service_epochs=config.hosted.finetune.epochs if config.hosted else config.finetune.epochs,
        batch_rows=config.runner.batch_rows,
        base_bytes=sum(_weight_bytes(folder) for folder in folders if folder),
        on_gpu=on_gpu,
    )


def _weight_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for pattern in BASE_FILES for file in folder.glob(pattern))


def _free(home: Home) -> Free:
    """The memory and the disk that this machine has left, counting what this process uses as free."""
    existing = next(folder for folder in (home.path, *home.path.parents) if folder.is_dir())
    return Free(
        memory_bytes=psutil.virtual_memory().available + psutil.Process().memory_info().rss,
        disk_bytes=shutil.disk_usage(existing).free,
    )
