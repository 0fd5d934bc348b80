"""The runs of jobs in MLflow: one experiment per society, and runs that nest job -> generation -> agent.

Every run is looked for by its tags before it is made, so a job that was killed, retried or started again continues
the runs it has; nothing here is ever written twice. Adapters are in `infra.lineage.agents`, scores in
`infra.lineage.scores`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

from infra.errors import UserError
from infra.lineage.client import client
from infra.lineage.contents import flattened
from infra.lineage.records import JobRun

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run


def experiment_name(society: str) -> str:
    """The name of a society's experiment: maft/SOCIETY."""
    return f"maft/{society}"


def run_url(job: JobRun) -> str:
    """The page of the job's run in the MLflow UI, among runs and models rather than traces of a GenAI app."""
    page = f"#/experiments/{job.experiment_id}/runs/{job.run_id}?workflowType=machine_learning"
    return f"{client().tracking_uri.rstrip('/')}/{page}"


def generations_url(job: JobRun) -> str:
    """The page that lists all generations of the society, of whatever job, the best first: to tick and to compare."""
    shown = {
        "searchFilter": "tags.`maft.kind` = 'generation'",
        # In the order of time they would be hidden below their jobs.
        "orderByKey": "metrics.`accuracy/society`",
        "orderByAsc": "false",
        "workflowType": "machine_learning",
    }
    query = urlencode(shown, quote_via=quote)
    return f"{client().tracking_uri.rstrip('/')}/#/experiments/{job.experiment_id}/runs?{query}"


def artifact_url(job: JobRun, file: str) -> str:
    """Where a browser gets one of the job's artifacts."""
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
    """The parent run of a job, RUNNING: made on the first call, found by its `maft.job` tag on every later one.

    Args:
        society: Name of the society; its experiment is `maft/SOCIETY`.
        job: Digest of everything that determines the job's results.
        name: Of the run.
        config: Nested settings, logged as params with dotted keys. Params are immutable: those that are there stay.
        tags: Set on every call, such as prefect.flow_run_id of the flow run now at work.
        first_generation: The first that the job makes.
        kind: An evaluation or a benchmark registers nothing.
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


def job_of(run_id: str) -> "Run":
    """The job's run that a generation's run belongs to."""
    mlflow = client()
    return mlflow.get_run(mlflow.get_run(run_id).data.tags["mlflow.parentRunId"])


def describe(run_id: str, markdown: str) -> None:
    """Set what the run's page says of it."""
    client().set_tag(run_id, "mlflow.note.content", markdown)


def open_generation(job: JobRun, generation: int) -> str:
    """The id of the run of one generation (0: the untuned base), below the job's run; made if it is not there."""
    return str(generation_run(job, generation).info.run_id)


def open_agent(job: JobRun, generation: int, agent_name: str) -> str:
    """The id of the run of one agent (generator-0, critic-2) in one generation; both made if they are not there."""
    return str(agent_run(job, generation, agent_name).info.run_id)


def generation_run(job: JobRun, generation: int) -> "Run":
    """As `open_generation`, but the whole run, with the metrics, inputs and outputs it has so far."""
    tags = {"mlflow.parentRunId": job.run_id, "maft.kind": "generation", "maft.generation": str(generation)}
    again = ", measured again" if 0 < generation < job.first_generation else ""
    return open_nested(job, f"{job.society} · generation {generation}{again}", tags)


def agent_run(job: JobRun, generation: int, agent_name: str) -> "Run":
    """As `open_agent`, but the whole run."""
    parent = open_generation(job, generation)
    tags = {"mlflow.parentRunId": parent, "maft.kind": "agent", "maft.agent": agent_name}
    return open_nested(job, agent_name, tags)


def close_job(job: JobRun, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
    """End the job's run, and with the same status whichever of its generations and agents have not ended."""
    mlflow = client()
    running = f"attributes.status = 'RUNNING' AND tags.`maft.job` = '{job.job}' AND tags.`maft.kind` != 'job'"
    for run in mlflow.search_runs([job.experiment_id], running, max_results=10_000):
        mlflow.set_terminated(run.info.run_id, status)
    mlflow.set_terminated(job.run_id, status)


def find_run(
    experiment_id: str, tags: Mapping[str, str], newest: bool = False, status: str | None = None
) -> "Run | None":
    """The oldest (or the newest) run with these tags, deleted ones aside; only of this status if one is given."""
    conditions = [f"tags.`{key}` = '{value}'" for key, value in tags.items()]
    wanted = " AND ".join([*conditions, *([f"attributes.status = '{status}'"] if status else [])])
    order = f"attributes.start_time {'DESC' if newest else 'ASC'}"
    runs = client().search_runs([experiment_id], wanted, max_results=1, order_by=[order])
    return runs[0] if runs else None


def get_experiment(society: str) -> "Experiment | None":
    """The society's experiment, if it has one.

    Raises:
        UserError: it was deleted, but not yet purged.
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
        # The kind keeps the UI on runs, metrics and models, without asking what the experiment is.
        kind = {"mlflow.experimentKind": "custom_model_development", "maft.society": society}
        return str(client().create_experiment(experiment_name(society), tags=kind))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return _open_experiment(society)  # another job of the society was faster


def open_nested(job: JobRun, name: str, tags: dict[str, str]) -> "Run":
    """A run below the job's, found by its tags or made; open again if it had failed."""
    run = find_run(job.experiment_id, tags)
    if run is None:
        return client().create_run(job.experiment_id, run_name=name, tags={**tags, "maft.job": job.job})
    if run.info.status in ("FAILED", "KILLED"):
        client().update_run(run.info.run_id, status="RUNNING")
    return run
