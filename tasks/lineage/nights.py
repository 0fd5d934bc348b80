"""Nights: delete what old generations no longer need, and show the last nights on one page."""

from uuid import UUID

from prefect import task
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.logging import get_run_logger
from prefect.settings import get_current_settings

from infra.home.home import current_home
from infra.lineage.client import client
from infra.lineage.records import JobRun
from infra.lineage.societies import find_society
from infra.operation.nights import last_nights, note_disk
from infra.operation.nights_page import nights_page
from infra.operation.prune import prune_society
from tasks.lineage.start import current_flow_run_id


@task(task_run_name="prune old generations")
def prune(job: JobRun, keep: int | None) -> None:
    """Delete the files of all but the newest generations, if `keep` says how many; note the size of the home."""
    if keep is not None:
        jobs, freed = prune_society(current_home(), job.society, keep)
        if jobs:
            get_run_logger().info("pruned %d jobs, %.1f MB of the home", jobs, freed / 1e6)
    note_disk(job.run_id, current_home())


@task(task_run_name="publish the nights")
def publish_nights(society: str, skipped: str = "") -> None:
    """Write the artifact SOCIETY-nights.

    Args:
        society: its name.
        skipped: why the present flow run is about to end without a generation; empty if it is not.
    """
    run = current_flow_run_id()
    show_nights(society, run, {run: skipped} if skipped else {})


def show_nights(society: str, flow_run_id: str, skipped: dict[str, str]) -> None:
    """Do the same for any flow run, also outside of it."""
    best = find_society(society, "champion")
    page = nights_page(
        society,
        last_nights(society, skipped),
        champion=f"version {best.version}, generation {best.generation}" if best else "the untuned base",
        prefect_ui=str(get_current_settings().api.url).removesuffix("/api"),
        mlflow_ui=client().tracking_uri.rstrip("/"),
    )
    artifact = ArtifactCreate(
        key=f"{society}-nights",
        type="markdown",
        description=f"Society {society}: its last nights",
        data=page,
        flow_run_id=UUID(flow_run_id),
    )
    with get_client(sync_client=True) as prefect:
        prefect.create_artifact(artifact)
