"""Announce: show a job on the pages of Prefect and MLflow, each with a link to the other."""

import json

from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.logging import get_run_logger
from prefect.utilities.urls import url_for

from agents.engines.protocol import Sampling
from agents.try_bases import TriedBase
from evaluation.reporting.advice import generation_warnings
from evaluation.reporting.markdown import generations_page
from evaluation.reporting.pictures import agents_heatmap, generations_picture
from evaluation.scores import GenerationScores
from infra.cli.console_log import AT_END
from infra.config.job import Config
from infra.home.home import current_home
from infra.lineage import contents, runs
from infra.lineage.records import JobRun
from infra.lineage.view import VERDICT, comparison_url
from infra.operation.flow_run import name_run
from tasks.lineage.promote import Verdict
from tasks.lineage.start import Start, current_flow_run_id


@task(task_run_name="announce the job")
def announce(config: Config, job: JobRun, *, start: Start, tried: list[TriedBase]) -> None:
    """Name the flow run after the generations that it makes, link it to its MLflow run, and say what the bases can do.

    Args:
        tried: what was found out about the base models; it stands in the MLflow run's `base_models.json`.
    """
    for note in (note for base in tried for note in base.notes):
        get_run_logger().info(note)
    described = [base.model_dump(mode="json") for base in tried]
    contents.log_text(job.run_id, json.dumps(described, indent=2, ensure_ascii=False), "base_models.json")
    made = start.made(config.iterations)
    name_run(job.society, made, range(start.first_generation, start.first_generation + config.iterations))
    create_link_artifact(
        link=runs.run_url(job), link_text="the run in MLflow", key="mlflow-run", description=f"{job.society}, {made}"
    )


def warn(generations: list[GenerationScores], sampling: Sampling) -> list[str]:
    """Log the warnings about generations, and return them.

    A job calls this as soon as a generation is measured, since it may go on for hours after that. Prefect's page shows
    them at once, the terminal when the job has ended.
    """
    warnings = generation_warnings(generations, sampling.max_new_tokens)
    for warning in warnings:
        get_run_logger().warning(warning, extra=AT_END)
    return warnings


@task(task_run_name="publish the generations")
def publish(job: JobRun, generations: list[GenerationScores], *, verdict: Verdict, warnings: list[str]) -> None:
    """Show verdict, warnings, tables and pictures on both pages; then end the MLflow run."""
    pictures = current_home().pictures
    curves, heat = pictures / f"{job.society}-{job.job}.png", pictures / f"{job.society}-{job.job}-agents.png"
    generations_picture(generations, job.society, curves)
    agents_heatmap(generations, job.society, heat)
    contents.log_artifacts(job.run_id, [curves, heat], "pictures")
    # MLflow shows a description's first lines, the last of them under a veil that takes clicks, and the rest on demand.
    verdict_line, tables = f"**{verdict.text}**", generations_page(generations, job.society, warnings)
    judged = runs.open_generation(job, generations[-1].generation)
    runs.describe(judged, f"{verdict_line}\n\n{tables}")
    runs.mark(judged, {VERDICT: verdict.comparison.verdict})
    charts = comparison_url(job.experiment_id, charts=True)
    compare = f"[All generations, to compare]({comparison_url(job.experiment_id)}) · [Their charts]({charts})"
    flow_run = url_for("flow-run", obj_id=current_flow_run_id())
    runs.describe(job.run_id, f"{compare} · [The flow run in Prefect]({flow_run})\n\n{verdict_line}\n\n{tables}")
    picture = f"![accuracy over generations]({runs.artifact_url(job, f'pictures/{curves.name}')})"
    create_markdown_artifact(
        f"{verdict_line}\n\n{compare} · [The run in MLflow]({runs.run_url(job)})\n\n{tables}\n\n{picture}",
        key=f"{job.society}-generations",
        description=f"Society {job.society}: its generations on held-out problems",
    )
    runs.close_job(job, "FINISHED")
