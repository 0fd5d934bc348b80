"""Cancel: what a run that was cancelled in mid-work leaves on the pages, put in order."""

import logging

from prefect.client.schemas.objects import FlowRun

from agents.training.jobs.under_way import cancel_jobs
from infra.home.store import current_store
from infra.lineage import runs
from infra.lineage.client import client
from infra.lineage.records import JobRun
from infra.operation.flow_run import WAITS, rename

log = logging.getLogger("maft.training")


def tidy(society: str, run: FlowRun) -> None:
    """End the job's run in MLflow as killed, and what it has at work at a service; it no longer says that it waits.

    The same job, started again, continues where it was cancelled.
    """
    if WAITS in run.name:
        rename(run.id, run.name.partition(WAITS)[0])
    job = runs.find_job(society, {"prefect.flow_run_id": str(run.id)})
    if job is not None and job.info.status == "RUNNING":
        own = JobRun(
            society=society,
            job=job.data.tags["maft.job"],
            tracking_uri=client().tracking_uri,
            experiment_id=job.info.experiment_id,
            run_id=job.info.run_id,
        )
        runs.close_job(own, "KILLED")
        for ended in cancel_jobs(current_store(), job.info.run_id):
            log.info("cancelled job %s", ended)
