"""Improve: L iterations from the untuned base, what `maft run` runs and a deployment starts."""

from prefect import flow
from prefect.context import FlowRunContext

from agents.engines.base_model import Base
from agents.society import Society
from evaluation.scores import GenerationScores, Record
from flows.iterate import assess, iterate
from infra.config import Config
from infra.lineage import JobRun, client
from tasks.evaluate import evaluate
from tasks.prepare import prepare
from tasks.register import Registered, close_lineage, open_lineage, register
from tasks.weigh import weigh


class Improvement(Record):
    """What a run came to."""

    society: Society
    generations: list[GenerationScores]
    job: JobRun
    flow_run_id: str


@flow(name="improve", flow_run_name="{config.society} · {config.iterations} iterations · seed {config.seed}")
def improve(config: Config) -> Improvement:
    """Finetune a society for `config.iterations` iterations, every generation evaluated and registered."""
    base: Base = weigh(config.base_model, config.trust_remote_code)
    problems = prepare(config.problems, config.seed)
    job = open_lineage(config, base, problems)
    tracking_uri = client().tracking_uri

    society = Society.untuned(config.agents)
    held_out = assess(config, base, society, problems.evaluation)
    scores = evaluate(0, problems.evaluation, held_out, config.seed, "generation 0")
    versions = register(tracking_uri, job, config, base, problems, scores, held_out, [], [], Registered(versions={}))
    generations = [scores]
    for iteration in range(1, config.iterations + 1):
        new = iterate(config, base, society, problems, iteration)
        versions = register(
            tracking_uri, job, config, base, problems, new.scores, new.debated, new.tuned, new.datasets, versions
        )
        society = new.society
        generations.append(new.scores)
    close_lineage(job, generations)
    context = FlowRunContext.get()
    flow_run_id = str(context.flow_run.id) if context and context.flow_run else ""
    return Improvement(society=society, generations=generations, job=job, flow_run_id=flow_run_id)
