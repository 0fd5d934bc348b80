"""Improve: L iterations from the untuned base or from a generation, what `maft run` runs and a deployment starts."""

from prefect import flow

from agents.society import Society
from evaluation.record import Record
from evaluation.scores import GenerationScores
from flows.iterate import assess, iterate
from infra.config.job import Config
from infra.lineage.client import client
from infra.lineage.records import JobRun
from infra.lineage.system_metrics import watched
from infra.operation.one_run_per_society import one_run_per_society
from tasks.announce import announce, publish
from tasks.begin import begin
from tasks.evaluate import evaluate
from tasks.prepare import prepare, renew
from tasks.promote import Verdict, champion_of, gate
from tasks.register import open_lineage, record, register
from tasks.weigh import weigh


class Improvement(Record):
    """What a run came to."""

    society: Society
    generations: list[GenerationScores]
    verdict: Verdict
    job: JobRun
    flow_run_id: str


@flow(name="improve", flow_run_name="{config.society} · {config.iterations} iterations from {config.start_from}")
def improve(config: Config) -> Improvement:
    """Finetune a society for some iterations; every generation is measured and registered, the last may be promoted.

    Waits where another run of the same society is at work. Started again, it goes on where it was cut off.
    """
    with one_run_per_society(config.society, wait=True):
        return grow(config)


def grow(config: Config) -> Improvement:
    """The generation that the job starts from, then one more per iteration, then the last against the champion."""
    bases = weigh(config.bases, config.trust_remote_code)
    start = begin(config, bases)
    problems = prepare(config.problems, config.seed, start.first_generation - 1)
    job = open_lineage(config, bases, problems, start)
    announce(config, job, start)
    tracking_uri = client().tracking_uri

    with watched(job.run_id):
        society, parent = start.society, start.origin
        debated = measured = assess(config, bases, society, problems.evaluation)
        scores = evaluate(
            society.generation, problems.evaluation, debated, config.seed, f"generation {society.generation}"
        )
        record(tracking_uri, job, config, problems, scores, debated)
        generations = [scores]
        for generation in range(start.first_generation, start.first_generation + config.iterations):
            if config.problems.renew:
                problems = renew(problems, config.problems, config.seed, generation - 1)
            new = iterate(config, bases, society, problems, generation)
            parent = newest = register(tracking_uri, job, config, bases, problems, new, parent)
            society, debated = new.society, new.debated
            generations.append(new.scores)

        champion = champion_of(config.society, start.champion, config.agents, bases)
        if champion.version != (start.origin and start.origin.version):
            measured = assess(config, champion.bases, champion.society, problems.evaluation)
        verdict = gate(
            newest,
            champion,
            problems.evaluation,
            debated,
            measured,
            config.promotion.level,
            config.seed,
            start.flow_run_id,
        )
    publish(job, generations, verdict)
    return Improvement(
        society=society, generations=generations, verdict=verdict, job=job, flow_run_id=start.flow_run_id
    )
