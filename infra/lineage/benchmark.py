"""Reads a finished benchmark back from MLflow, and publishes its page.

Only MLflow is read, so the page can be made on a machine other than the one that computed the benchmark.
"""

import json
import os
import platform
import shlex
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from evaluation.benchmark.debates import Debate
from evaluation.benchmark.results import Outcome, Row, Scored
from evaluation.reporting.page import Making, Report, render
from infra.config.benchmark import Benchmark
from infra.config.file import assignments
from infra.config.sections import material
from infra.config.stored import read_stored
from infra.errors import UserError
from infra.home.files import write
from infra.home.home import Home
from infra.lineage import contents, runs
from infra.lineage.client import client, find
from infra.lineage.records import JobRun

if TYPE_CHECKING:
    from mlflow.entities import Run

BENCHMARK, VALUES, DEBATES, VERSIONS = "benchmark.json", "data/values.parquet", "debates.json", "versions.json"
CONFIG, PAGE = "config.json", "report.html"
"""Artifacts of a benchmark's run."""
PACKAGES = ("maft", "torch", "transformers", "peft", "prefect", "mlflow")


def versions() -> dict[str, str]:
    """The versions of maft, of Python and of the main packages, and a description of the machine."""
    own = {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    return {**own, "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"}


def read_benchmark(society: str, run_id: str | None = None) -> Report:
    """Read a finished benchmark.

    Args:
        society: name of the society; not used if `run_id` is given.
        run_id: id of the benchmark's run; default: the newest finished benchmark of the society.

    Raises:
        UserError: the tracking server has no such run, or the run is not a finished and complete benchmark.
    """
    run = _given(run_id) if run_id else _newest(society)
    job = run.info.run_id
    try:
        told = json.loads(contents.read_text(job, BENCHMARK))
        rows = TypeAdapter(list[Row]).validate_python(told["rows"])
        outcomes = TypeAdapter(list[Outcome]).validate_python(told["outcomes"])
        transfer = TypeAdapter(list[Row]).validate_python(told["transfer"])
        debates = TypeAdapter(list[Debate]).validate_json(contents.read_text(job, DEBATES))
        own_versions = TypeAdapter(dict[str, str]).validate_json(contents.read_text(job, VERSIONS))
        config = read_stored(Benchmark, contents.read_text(job, CONFIG))
        scored = _scored(job, [each for each in outcomes if not each.transfer])
    except (ValidationError, KeyError, ValueError, OSError, _artifact_error()) as error:
        raise UserError(
            f"benchmark {job} at {client().tracking_uri} lacks something that the report shows, or was made by "
            f"another version of maft ({' '.join(str(error).split())[:300]}); `maft benchmark` with the same config "
            "completes it from the cache"
        ) from error
    return Report(
        rows=rows, scored=scored, debates=debates, transfer=transfer, making=_making(run, config, own_versions)
    )


def page_of(home: Home, job: JobRun) -> Path:
    """The default path of a benchmark's page."""
    return home.pictures / f"{job.society}-{job.job}.html"


def job_run(report: Report) -> JobRun:
    """The benchmark's run."""
    run = client().get_run(report.making.run_id)
    tags = run.data.tags
    return JobRun(
        society=tags["maft.society"],
        job=tags["maft.job"],
        tracking_uri=client().tracking_uri,
        experiment_id=run.info.experiment_id,
        run_id=run.info.run_id,
    )


def publish(report: Report, path: Path) -> None:
    """Write the page, completely or not at all, and log it to the benchmark's run as PAGE.

    Raises:
        UserError: the file cannot be written.
    """
    page = render(report)
    write(path, page.encode())
    contents.log_text(report.making.run_id, page, PAGE)


def _newest(society: str) -> "Run":
    where = f"at {client().tracking_uri}"
    experiment = runs.get_experiment(society)
    wanted = {"maft.kind": "benchmark"}
    run = runs.find_run(experiment.experiment_id, wanted, True, "FINISHED") if experiment else None
    if run is None:
        raise UserError(
            f"society {society!r} has no finished benchmark {where}; `maft benchmark` makes one, and --society names "
            "another society"
        )
    return run


def _given(run_id: str) -> "Run":
    where = f"at {client().tracking_uri}"
    run = find(client().get_run, run_id)
    if run is None:
        raise UserError(f"there is no run {run_id!r} {where}")
    if run.data.tags.get("maft.kind") != "benchmark":
        raise UserError(f"run {run_id} {where} is not a benchmark")
    if run.info.status != "FINISHED":
        raise UserError(f"benchmark {run_id} {where} is {run.info.status}; start `maft benchmark` again to finish it")
    return run


def _artifact_error() -> type[Exception]:
    from mlflow.exceptions import MlflowException

    return MlflowException


def _scored(run_id: str, outcomes: list[Outcome]) -> list[Scored]:
    import pandas as pd
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory() as folder:
        path = download_artifacts(run_id=run_id, artifact_path=VALUES, dst_path=folder)
        values = pd.read_parquet(path)
        groups: dict[Any, pd.DataFrame] = dict(
            iter(values[~values["transfer"]].groupby(["method", "iteration", "seed"]))
        )
    scored = []
    for outcome in outcomes:
        values = groups[outcome.method, outcome.iteration, outcome.seed]
        right, alone = (dict(zip(values["problem_id"], values[name], strict=True)) for name in ("right", "alone"))
        scored.append(Scored(outcome, right=right, alone=alone))
    return scored


def _making(run: "Run", config: Benchmark, own_versions: Mapping[str, str]) -> Making:
    def minute(milliseconds: int | None) -> str:
        return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC).strftime("%Y-%m-%d %H:%M")

    settings: dict[str, Any] = material(config)
    given = "".join(f" \\\n  --set {shlex.quote(assignment)}" for assignment in assignments(config))
    return Making(
        society=config.society,
        base=config.base_model,
        base_sha256=run.data.tags.get("maft.base_model_sha256", ""),
        problems=config.problems.train,
        transfer=config.transfer.in_words if config.transfer else None,
        begun=minute(run.info.start_time),
        ended=minute(run.info.end_time),
        command=f"maft benchmark{given}",
        max_new_tokens=config.sampling.max_new_tokens,
        config=json.dumps(settings, indent=1, ensure_ascii=False),
        versions=dict(own_versions),
        run_id=run.info.run_id,
    )
