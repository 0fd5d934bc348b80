"""The runs of jobs in MLflow: one experiment per society, and runs that nest job -> generation -> agent.

A run is searched by its tags before it is created, so a job that was killed, retried or started again continues its
own runs, and no run is created twice. Adapters are in `infra.lineage.agents`, scores in `infra.lineage.scores`.
"""

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from infra.errors import UserError
from infra.lineage.client import client, find
from infra.lineage.contents import flattened
from infra.lineage.records import JobRun

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run


MOST_RUNS = 10_000
"""The largest number of runs that a search returns."""


def experiment_name(society: str) -> str:
    """The name of a society's experiment: maft/SOCIETY."""
    return f"maft/{society}"


def run_url(job: JobRun) -> str:
    """The address of the job's run in the MLflow UI, in its view of runs and models, not its view of traces."""
    page = f"#/experiments/{job.experiment_id}/runs/{job.run_id}?workflowType=machine_learning"
    return f"{client().tracking_uri.rstrip('/')}/{page}"


def artifact_url(job: JobRun, file: str) -> str:
    """The address from which a browser downloads one of the job's artifacts."""
    return f"{client().tracking_uri.rstrip('/')}/get-artifact?path={quote(file)}&run_uuid={job.run_id}"


def open_job(
    society: str,
    job: str,
    name: str,
    config: Mapping[str, Any],
    tags: Mapping[str, str],
    first_generation: int = 1,
    kind: Literal["job", "evaluation", "benchmark"] = "job",
) -> JobRun:
    """Create the parent run of a job, or find it by its `maft.job` tag, and set its status to RUNNING.

    Args:
        society: Name of the society; its experiment is `maft/SOCIETY`.
        job: Digest of everything that determines the job's results.
        name: Name of the run.
        config: Nested settings, logged as params with dotted keys. Existing params stay, since MLflow cannot change
            them.
        tags: Tags to set on every call, such as prefect.flow_run_id of the present flow run.
        first_generation: The first generation that the job makes.
        kind: Kind of the run; an evaluation or a benchmark registers no models.
    Raises:
        UserError: the society's experiment was deleted, but not yet purged.
    """
    from mlflow.entities import Param, RunTag

    mlflow = client()
    experiment_id = _open_experiment(society)
    run = find_run(experiment_id, {"maft.kind": kind, "maft.job": job})
    if run is None:
        own = {"maft.kind": kind, "maft.job": job, "maft.society": society}
        run = mlflow.create_run(experiment_id, run_name=name, tags={**own, **tags})
    elif run.info.status != "RUNNING":
        mlflow.update_run(run.info.run_id, status="RUNNING")
    mlflow.log_batch(
        run.info.run_id,
        params=[Param(key, value) for key, value in flattened(config).items() if key not in run.data.params],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    return JobRun(
        society=society,
        job=job,
        tracking_uri=client().tracking_uri,
        experiment_id=experiment_id,
        run_id=run.info.run_id,
        first_generation=first_generation,
    )


def find_job(society: str, tags: Mapping[str, str]) -> "Run | None":
    """The newest job of the society whose run has these tags.

    Raises:
        UserError: the society's experiment was deleted, but not yet purged.
    """
    experiment = get_experiment(society)
    return find_run(experiment.experiment_id, {"maft.kind": "job", **tags}, newest=True) if experiment else None


def all_jobs(society: str) -> "list[Run]":
    """The runs of all jobs of the society, the newest first."""
    experiment = get_experiment(society)
    if experiment is None:
        return []
    return list(client().search_runs([experiment.experiment_id], "tags.`maft.kind` = 'job'", max_results=10_000))


def newest_job(society: str) -> "Run":
    """The run of the society's newest job.

    Raises:
        UserError: the society has no job; the message has the nearest name of a society that has one.
    """
    job = find_job(society, {})
    if job is None:
        raise UserError(f"society {society!r} has no job at {client().tracking_uri}{nearest(society)}")
    return job


def societies_by_job() -> list[str]:
    """The names of the societies that have jobs, that of the newest job first."""
    mlflow = client()
    experiments = mlflow.search_experiments(filter_string=f"name LIKE '{experiment_name('%')}'", max_results=1000)
    jobs = mlflow.search_runs(
        [each.experiment_id for each in experiments],
        "tags.`maft.kind` = 'job'",
        order_by=["attributes.start_time DESC"],
    )
    return list(dict.fromkeys(run.data.tags["maft.society"] for run in jobs))


def nearest(society: str) -> str:
    """The end of a message about an unknown society: which one may be meant, or which there are."""
    names = sorted(societies_by_job())
    if society in names:
        return ", but its first job is at work or was not finished; `maft run` goes on with it"
    close = difflib.get_close_matches(society, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(names[:10])}" if names else "; `maft run` starts one"


def job_of(run_id: str) -> "Run":
    """The run of the job to which a generation's run belongs."""
    mlflow = client()
    return mlflow.get_run(mlflow.get_run(run_id).data.tags["mlflow.parentRunId"])


def token_limit(job: JobRun) -> int | None:
    """The value of sampling.max_new_tokens in a job's params; None if the job has no such param."""
    limit = client().get_run(job.run_id).data.params.get("sampling.max_new_tokens")
    return int(limit) if limit else None


def describe(run_id: str, markdown: str) -> None:
    """Set the description on the run's page."""
    client().set_tag(run_id, "mlflow.note.content", markdown)


def mark(run_id: str, tags: Mapping[str, str | None]) -> None:
    """Set tags on a run, or remove those that are None; a run that a user has deleted stays as it is."""
    mlflow = client()
    run = find(mlflow.get_run, run_id)
    if run is None or run.info.lifecycle_stage == "deleted":
        return
    for key, value in tags.items():
        if value is None and key in run.data.tags:
            mlflow.delete_tag(run_id, key)
        elif value is not None and run.data.tags.get(key) != value:
            mlflow.set_tag(run_id, key, value)


def open_generation(job: JobRun, generation: int) -> str:
    """The id of the run of one generation (0: the untuned base), below the job's run; created if it is missing."""
    return str(generation_run(job, generation).info.run_id)


def find_generation(job: JobRun, generation: int) -> "Run | None":
    """The run of one generation in this job, unless it is not made yet or was deleted."""
    return find_run(job.experiment_id, _of_generation(job, generation))


def open_agent(job: JobRun, generation: int, agent_name: str) -> str:
    """The id of the run of one agent (such as generator-0), below its generation's run; both created if missing."""
    return str(agent_run(job, generation, agent_name).info.run_id)


def generation_run(job: JobRun, generation: int) -> "Run":
    """The run of one generation, as in `open_generation`, with its present metrics, inputs and outputs."""
    again = ", measured again" if 0 < generation < job.first_generation else ""
    return open_nested(job, f"{job.society} · generation {generation}{again}", _of_generation(job, generation))


def agent_run(job: JobRun, generation: int, agent_name: str) -> "Run":
    """The run of one agent, as in `open_agent`."""
    parent = open_generation(job, generation)
    tags = {"mlflow.parentRunId": parent, "maft.kind": "agent", "maft.agent": agent_name}
    return open_nested(job, agent_name, tags)


def _of_generation(job: JobRun, generation: int) -> dict[str, str]:
    return {"mlflow.parentRunId": job.run_id, "maft.kind": "generation", "maft.generation": str(generation)}


def close_job(job: JobRun, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
    """End the job's run and those runs of its generations and agents that still run, all with the same status."""
    mlflow = client()
    running = f"attributes.status = 'RUNNING' AND tags.`maft.job` = '{job.job}' AND tags.`maft.kind` != 'job'"
    for run in mlflow.search_runs([job.experiment_id], running, max_results=MOST_RUNS):
        mlflow.set_terminated(run.info.run_id, status)
    mlflow.set_terminated(job.run_id, status)


def find_run(
    experiment_id: str, tags: Mapping[str, str], newest: bool = False, status: str | None = None
) -> "Run | None":
    """The oldest (or newest) run that has these tags and, if given, this status; deleted runs do not count."""
    conditions = [f"tags.`{key}` = '{value}'" for key, value in tags.items()]
    wanted = " AND ".join([*conditions, *([f"attributes.status = '{status}'"] if status else [])])
    order = f"attributes.start_time {'DESC' if newest else 'ASC'}"
    runs = client().search_runs([experiment_id], wanted, max_results=1, order_by=[order])
    return runs[0] if runs else None


def get_experiment(society: str) -> "Experiment | None":
    """The society's experiment; None if it has none.

    Raises:
        UserError: the experiment was deleted, but not yet purged.
    """
    mlflow = client()
    experiment = mlflow.get_experiment_by_name(experiment_name(society))
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise UserError(
            f"the MLflow experiment {experiment_name(society)} at {mlflow.tracking_uri} was deleted: bring it back "
            f"with `mlflow experiments restore --experiment-id {experiment.experiment_id}`, or choose another society"
        )
    return experiment


def _open_experiment(society: str) -> str:
    from mlflow.exceptions import MlflowException

    experiment = get_experiment(society)
    if experiment is not None:
        return str(experiment.experiment_id)
    try:
        # With this tag, the UI shows runs, metrics and models, and does not ask for the kind of the experiment.
        kind = {"mlflow.experimentKind": "custom_model_development", "maft.society": society}
        return str(client().create_experiment(experiment_name(society), tags=kind))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return _open_experiment(society)  # Another job of the society has just created it.


def open_nested(job: JobRun, name: str, tags: dict[str, str]) -> "Run":
    """A run below the job's run, found by its tags or created; a failed or killed run is set to RUNNING again."""
    run = find_run(job.experiment_id, tags)
    if run is None:
        return client().create_run(job.experiment_id, run_name=name, tags={**tags, "maft.job": job.job})
    if run.info.status in ("FAILED", "KILLED"):
        client().update_run(run.info.run_id, status="RUNNING")
    return run
