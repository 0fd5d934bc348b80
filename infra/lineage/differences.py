"""What tells the generations of a society apart in MLflow: their lineage, and the settings in which their jobs differ.

A setting that all jobs of a society share stands on the jobs' runs alone. Once two jobs differ in it, it becomes a
param of every generation's run, so that a comparison of two generations shows what differs, and only that.
"""

from typing import TYPE_CHECKING

from infra.lineage.client import client, find
from infra.lineage.contents import log_params
from infra.lineage.records import JobRun
from infra.lineage.runs import MOST_RUNS, mark
from infra.lineage.view import LINEAGE

if TYPE_CHECKING:
    from mlflow.entities import Run

OF_JOB = "maft.lineage"
PLACE = ("iterations", "start_from")
"""Settings that say where a generation stands, as its number and parent do."""


def join_lineage(job: JobRun, parent_run: str | None, seed: int) -> None:
    """Give a job the lineage of the generation that it goes on from, or a new one.

    Args:
        job: The job's run.
        parent_run: Id of the run of that generation; None for a job that begins with generation 1.
        seed: The job's seed, for the name of a new lineage.
    """
    from mlflow.entities import ViewType

    mlflow = client()
    if OF_JOB in mlflow.get_run(job.run_id).data.tags:
        return
    parent = find(mlflow.get_run, parent_run) if parent_run else None
    lineage = parent.data.tags.get(LINEAGE) if parent else None
    if lineage is None:
        # Deleted jobs count, so that no two lineages have the same number.
        jobs = mlflow.search_runs(
            [job.experiment_id], "tags.`maft.kind` = 'job'", run_view_type=ViewType.ALL, max_results=MOST_RUNS
        )
        known = {each.data.tags[OF_JOB] for each in jobs if OF_JOB in each.data.tags}
        lineage = f"lineage {len(known) + 1}, seed {seed}"
    mlflow.set_tag(job.run_id, OF_JOB, lineage)


def log_differences(job: JobRun, run_id: str) -> None:
    """Log the lineage of a generation's run, and the settings of its job in which the society's jobs differ."""
    jobs = _jobs(job)
    own = next(each for each in jobs if each.info.run_id == job.run_id)
    mark(run_id, {LINEAGE: own.data.tags.get(OF_JOB)})
    log_params(run_id, _differing(own, jobs))


def log_new_differences(job: JobRun) -> None:
    """Log the settings in which a job differs from earlier ones on the runs of all generations that lack them."""
    jobs = _jobs(job)
    if not _differing(next(each for each in jobs if each.info.run_id == job.run_id), jobs):
        return
    of = {each.info.run_id: _differing(each, jobs) for each in jobs}
    made = client().search_runs([job.experiment_id], "tags.`maft.kind` = 'generation'", max_results=MOST_RUNS)
    for run in made:
        differing = of.get(run.data.tags["mlflow.parentRunId"], {})
        if not differing.keys() <= run.data.params.keys():
            log_params(run.info.run_id, differing)


def _jobs(job: JobRun) -> "list[Run]":
    """The runs of the society's jobs."""
    return list(client().search_runs([job.experiment_id], "tags.`maft.kind` = 'job'", max_results=MOST_RUNS))


def _differing(own: "Run", jobs: "list[Run]") -> dict[str, str]:
    """The settings of a job that have another value in another job."""
    return {
        key: value
        for key, value in own.data.params.items()
        if key not in PLACE and any(each.data.params.get(key, value) != value for each in jobs)
    }
