"""Evaluate: any generation of a society on any problems; nothing is learned or promoted."""

from prefect import flow

from evaluation.record import Record
from evaluation.scores import GenerationScores
from flows.iterate import assess
from infra.config.job import Measurement
from infra.lineage.records import JobRun
from tasks.evaluate import evaluate as score
from tasks.measure import file_scores, find_measured
from tasks.prepare import prepare_held_out


class Measured(Record):
    """What an evaluation came to."""

    scores: GenerationScores
    job: JobRun


@flow(name="evaluate", flow_run_name="{config.society} · evaluate {config.generation}")
def evaluate(config: Measurement) -> Measured:
    """Let one generation debate over other problems, with the settings that it was made with."""
    found = find_measured(config)
    problems = prepare_held_out(config.held_out, config.seed)
    debated = assess(found.config, found.bases, found.society, problems)
    scores = score(
        found.society.generation, problems, debated, found.config.seed, f"generation {found.society.generation}"
    )
    return Measured(scores=scores, job=file_scores(config, found, problems, debated, scores))
