"""Evaluate: measure any generation of a society on any problems; nothing is learned or promoted."""

from prefect import flow

from agents.algorithm import assess
from evaluation.record import Record
from evaluation.scores import GenerationScores
from infra.config.job import Measurement
from infra.config.sections import material
from infra.lineage.records import JobRun, identity
from infra.operation.flow_run import society_tag, tag_run
from tasks.lineage.announce import warn
from tasks.lineage.evaluation_run import file_scores, find_measured
from tasks.prepare import prepare_held_out
from tasks.run import paid_once, run_of


class Evaluation(Record):
    """The result of an evaluation."""

    scores: GenerationScores
    warnings: list[str]
    """What went wrong with the responses, and what to change."""
    job: JobRun


@flow(name="evaluate", flow_run_name="{config.society} · evaluate {config.generation}")
def evaluate(config: Measurement) -> Evaluation:
    """Measure one generation on other problems, with the settings that it was made with."""
    tag_run(society_tag(config.society))
    found = find_measured(config)
    tag_run(f"generation:{found.society.generation}")
    problems = prepare_held_out(config.held_out, grader=found.config.answers, seed=config.seed)
    paid = identity(material(config), found.version, problems.sha256)
    run = paid_once(run_of(found.config, found.bases), f"evaluation-{paid}")
    run = run.labelled(f"evaluate generation {found.society.generation}")
    debated = assess(run, found.society, x=problems, settings=found.config.settings)
    scores = run.steps.evaluate(run, debated)
    warnings = warn([scores], found.config.sampling)
    return Evaluation(scores=scores, warnings=warnings, job=file_scores(config, found, debated=debated, scores=scores))
