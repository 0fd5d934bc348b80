"""Measure: find the generation that is to be evaluated, and file its scores."""

from prefect import task

from agents.engines import base_model
from agents.engines.base_model import Bases
from agents.records import Transcript
from agents.society import Society
from evaluation.record import Record
from evaluation.reporting.advice import generation_warnings
from evaluation.reporting.markdown import generations_page
from evaluation.scores import GenerationScores
from infra.config.bases import identify_bases
from infra.config.fits import check_engine
from infra.config.job import Config, Measurement
from infra.config.sections import material
from infra.errors import UserError
from infra.home.store import current_store
from infra.lineage import champion, contents, runs
from infra.lineage.origin import fetch_adapters
from infra.lineage.records import DatasetRef, JobRun, identity
from infra.lineage.scores import log_numbers
from tasks.lineage.register import show_debates
from tasks.lineage.start import current_flow_run_id


class Found(Record):
    """A generation to be measured, and the config of its job with the seed, engine and runner of this evaluation."""

    society: Society
    version: str | None
    bases: Bases
    config: Config


@task(task_run_name="find {measurement.generation}")
def find_measured(measurement: Measurement) -> Found:
    """Find the generation and fetch its adapters.

    The untuned base is that of the society's newest job.

    Raises:
        UserError: there is no such society or generation, or its bases or its vote need another engine.
        BaseModelError: the folder of a base has changed since.
    """
    name, which = measurement.society, measurement.generation
    version = champion.generation(name, which)
    job = runs.job_of(version.run_id) if version else runs.newest_job(name)
    made = Config.model_validate_json(contents.read_text(job.info.run_id, "config.json"))
    dtype = version.bases.of(0).dtype if version else made.runner.dtype
    if measurement.runner.dtype not in ("auto", dtype):
        raise UserError(
            f"runner.dtype is {measurement.runner.dtype}, but society {name!r} was made with {dtype}; leave it out"
        )
    runner = measurement.runner.model_copy(update={"dtype": dtype})
    # Agents whose weights are at a service speak there, unless another engine is named.
    elsewhere = made.finetune.asks_service and "engine" not in measurement.model_fields_set
    engine = made.engine if elsewhere else measurement.engine
    config = made.model_copy(update={"seed": measurement.seed, "engine": engine, "runner": runner})
    try:
        check_engine(
            config.engine,
            vote=config.debate.vote,
            base_models=config.base_models,
            agents=config.agents,
            dtype=dtype,
        )
    except ValueError as error:
        raise UserError(f"society {name!r}: {error}") from error
    if version is None:
        bases = identify_bases(config, config.bases)
        return Found(society=Society.untuned(config.agents), version=None, bases=bases, config=config)
    fetch_adapters(version, current_store())
    bases = version.bases.trusting(config.trust_remote_code)
    base_model.check_unchanged(bases)
    return Found(society=version.society, version=version.version, bases=bases, config=config)


@task(task_run_name="file the scores in MLflow")
def file_scores(measurement: Measurement, found: Found, *, debated: Transcript, scores: GenerationScores) -> JobRun:
    """Log the evaluation as a run beside the society's jobs: params, data set, scores, transcripts and debates."""
    which, problems = f"generation {found.society.generation}", debated.problems
    asked = {name: value for name, value in material(measurement).items() if name != "generation"}
    run = runs.open_job(
        measurement.society,
        identity(asked, found.version, found.bases.sha256, problems.sha256),
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
    show_debates(run.run_id, run, debated, grader=found.config.answers)
    warnings = generation_warnings([scores], found.config.sampling.max_new_tokens)
    runs.describe(run.run_id, generations_page([scores], measurement.society, warnings))
    runs.close_job(run, "FINISHED")
    return run
