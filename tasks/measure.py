"""Measure: what an evaluation without learning needs to begin with, and where its scores go."""

import hashlib
import json

from prefect import task

from agents.engines import base_model
from agents.engines.base_model import Bases, check_several
from agents.society import Society
from agents.store import Artifact, Store
from evaluation.record import Record
from evaluation.reporting.markdown import generations_markdown
from evaluation.scores import GenerationScores
from infra.config.job import Config, Measurement, check_votes
from infra.errors import UserError
from infra.home.home import current_home
from infra.lineage import champion, contents, runs
from infra.lineage.records import DatasetRef, JobRun
from infra.lineage.scores import log_numbers
from infra.lineage.traces import log_debates
from tasks.begin import current_flow_run_id, fetch_adapters
from tasks.register import TRANSCRIPTS, debates_frame
from tasks.sample import Responses


class Found(Record):
    """A generation to be measured, and the config of the job that made it, with the seed of this evaluation."""

    society: Society
    version: str | None
    bases: Bases
    config: Config


@task(task_run_name="find {measurement.generation}")
def find_measured(measurement: Measurement) -> Found:
    """The generation, its adapters at hand. The untuned base is that of the society's newest job, if it has one.

    Raises:
        UserError: the society has no such generation, or its bases or votes take another engine.
    """
    name, which = measurement.society, measurement.generation
    version = champion.generation(name, which)
    job = runs.job_of(version.run_id) if version else runs.find_job(name, {})
    made = (
        Config.model_validate_json(contents.read_text(job.info.run_id, "config.json")) if job else Config(society=name)
    )
    config = made.model_copy(
        update={"seed": measurement.seed, "engine": measurement.engine, "runner": measurement.runner}
    )
    try:
        check_votes(config.finetune, config.agents, config.vote, config.engine)
        check_several(config.base_models, config.agents, config.engine)
    except ValueError as error:
        raise UserError(f"society {name!r}: {error}") from error
    if version is None:
        bases = base_model.weigh(config.bases, config.trust_remote_code)
        return Found(society=Society.untuned(config.agents), version=None, bases=bases, config=config)
    fetch_adapters(version)
    bases = Bases.read(version.base_model, version.base_sha256, config.trust_remote_code)
    return Found(society=version.society, version=version.version, bases=bases, config=config)


@task(task_run_name="file the scores in MLflow")
def file_scores(
    measurement: Measurement, found: Found, problems: Artifact, debated: list[Responses], scores: GenerationScores
) -> JobRun:
    """A run of its own beside the society's jobs: params, data set, scores, transcripts, debates."""
    which = f"generation {found.society.generation}"
    asked = measurement.model_dump(mode="json", exclude={**measurement.IMMATERIAL, "generation": True})
    identity = json.dumps([asked, found.version, found.bases.sha256, problems.sha256], sort_keys=True)
    run = runs.open_job(
        measurement.society,
        hashlib.sha256(identity.encode()).hexdigest()[:16],
        f"{measurement.society} · {which} on {measurement.problems.rsplit('/', 1)[-1]}",
        {**asked, "generation": found.society.generation, "version": found.version or "base"},
        {"prefect.flow_run_id": current_flow_run_id(), "maft.generation": str(found.society.generation)},
        kind="evaluation",
    )
    source = measurement.problems
    data = DatasetRef(
        name="evaluation", sha256=problems.sha256, rows=problems.rows, source=source, context="evaluation"
    )
    contents.log_datasets(run.run_id, [data])
    log_numbers(run.run_id, scores)
    debates = debates_frame(Store(current_home().artifacts), problems, debated)
    contents.log_transcripts(run.run_id, debates, by="question", debates=TRANSCRIPTS)
    log_debates(run.experiment_id, run.run_id, run.job, scores.generation, debates, measurement.seed)
    runs.describe(run.run_id, generations_markdown([scores], measurement.society))
    runs.close_job(run, "FINISHED")
    return run
