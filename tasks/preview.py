"""Preview a job, and show the preview on the page of its flow run."""

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from agents.preview.records import Preview
from infra.config.check import check_job
from infra.config.job import Config
from infra.home.home import current_home
from infra.home.progress import progress


@task(task_run_name="preview")
def look_ahead(config: Config, problems: int | None) -> Preview:
    """Debate over a few training problems of a job; not cached, since the time that it takes is a result.

    Args:
        config: the job.
        problems: their number; None for as many as fill a batch.
    """
    from infra.operation.preview import preview  # torch takes seconds to import.

    check_job(config)
    return preview(config, current_home(), problems=problems, registry=True, progress=progress)


@task(task_run_name="publish the preview")
def publish_preview(preview: Preview) -> None:
    """Log the warnings, and show numbers and conversations as an artifact."""
    from infra.operation.preview_page import preview_page

    for warning in preview.warnings:
        get_run_logger().warning(warning)
    create_markdown_artifact(
        preview_page(preview),
        key=f"{preview.society}-preview",
        description=f"What the job of society {preview.society} is expected to take, and some of its debates",
    )
