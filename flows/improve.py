"""Improve: L iterations from the untuned base or from a generation (`maft run`, and a deployment)."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import FlowRun, State

from agents.algorithm import assess
from agents.society import Society
from evaluation.record import Record
from evaluation.reporting.advice import generation_warnings
from evaluation.scores import GenerationScores
from flows.iterate import iterate
from infra.config.job import Config
from infra.lineage.records import JobRun
from infra.lineage.system_metrics import watched
from infra.operation.flow_run import society_of_run
from infra.operation.one_run_per_society import one_run_per_society
from tasks.identify_bases import identify_bases
from tasks.lineage.announce import announce, publish, warn
from tasks.lineage.cancel import tidy
from tasks.lineage.costs import Spent, spent_on, tell_spending
from tasks.lineage.promote import Verdict, champion_of, gate
from tasks.lineage.register import Filed, open_lineage, record, register
from tasks.lineage.start import resolve_start
from tasks.prepare import prepare, renew
from tasks.run import paid_once, run_of
from tasks.try_bases import try_bases, try_engines


class Improvement(Record):
    """The result of a run."""

    society: Society
    generations: list[GenerationScores]
    verdict: Verdict
    warnings: list[str]
    """What went wrong with the responses or the datasets, and what to change."""
    job: JobRun
    flow_run_id: str
    spent: Spent | None = None
    """What a service was paid; None without one."""


def tidy_up(flow: Any, flow_run: FlowRun, state: State) -> None:
    """Leave nothing behind that looks as if the run were at work; Prefect calls this after a cancellation."""
    tidy(society_of_run(flow_run.id), flow_run)


@flow(name="improve", flow_run_name="{config.society} · {config.in_words}", on_cancellation=[tidy_up])
def improve(config: Config) -> Improvement:
    """Finetune a society for some iterations; every generation is measured and registered, the last may be promoted.

    The flow waits while another run of the same society is at work. Started again after an interruption, it resumes
    where it stopped.
    """
    with one_run_per_society(config.society, wait=True):
        return grow(config)


def grow(config: Config) -> Improvement:
    """Measure the generation to start from, make one more per iteration, and compare the last with the champion."""
    bases = identify_bases(config, config.bases)
    run, settings = run_of(config, bases), config.settings
    tried = try_bases(run, finetune=config.finetune, agents=config.agents)
    if config.hosted or not config.engine.in_process:
        try_engines(run, finetune=config.finetune)
    start = resolve_start(config, bases)
    problems = prepare(config.problems, grader=config.answers, seed=config.seed, draw=start.first_generation - 1)
    job = open_lineage(config, bases, problems=problems, start=start)
    announce(config, job, start=start, tried=tried)
    run = paid_once(run, job.run_id)

    with watched(job.run_id):
        society, parent = start.society, start.origin
        here = run.labelled(f"evaluate generation {society.generation}")
        debated = measured = assess(here, society, x=problems.evaluation, settings=settings)
        generations = [here.steps.evaluate(run.labelled(f"generation {society.generation}"), debated)]
        warn(generations, config.sampling)
        record(Filed(job=job, config=config, problems=problems), generations[0], debated=debated)
        for generation in range(start.first_generation, start.first_generation + config.iterations):
            if config.problems.renew:
                problems = renew(
                    problems, config.problems, grader=config.answers, seed=config.seed, draw=generation - 1
                )
            new = iterate(run, society, problems=problems, settings=settings, generation=generation)
            filed = Filed(job=job, config=config, problems=problems)
            parent = newest = register(filed, new, bases=bases, parent=parent)
            society, debated = new.society, new.debated
            generations.append(new.scores)
            warn(generations[-1:], config.sampling)
            tell_spending(run)

        champion = champion_of(config.society, start.champion, agents=config.agents, bases=bases)
        if champion.version != (start.origin and start.origin.version):
            there = paid_once(run_of(config, champion.bases), job.run_id)
            label = f"evaluate generation {champion.society.generation}"
            measured = assess(there.labelled(label), champion.society, x=problems.evaluation, settings=settings)
        verdict = gate(
            newest,
            champion,
            debates=(debated, measured),
            config=config,
            who=f"flow run {start.flow_run_id}",
        )
    warnings = generation_warnings(generations, config.sampling.max_new_tokens)
    publish(job, generations, verdict=verdict, warnings=warnings)
    return Improvement(
        society=society,
        generations=generations,
        verdict=verdict,
        warnings=warnings,
        job=job,
        flow_run_id=start.flow_run_id,
        spent=spent_on(run),
    )
