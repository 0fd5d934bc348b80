"""Benchmark: every method on the same problems under the same seeds (`maft benchmark`)."""

from prefect import flow

from agents.benchmark.score_method import MethodScore
from evaluation.benchmark.methods import METHODS, REFERENCE, MethodName
from evaluation.benchmark.results import Row
from evaluation.record import Record
from flows.method import Questions, match, run_method
from infra.config.benchmark import Benchmark
from infra.lineage.records import JobRun
from infra.lineage.system_metrics import watched
from infra.operation.flow_run import society_tag, tag_run
from tasks.benchmark.report import compare_methods, log_method, open_benchmark, report, warnings_of
from tasks.identify_bases import identify_bases, identify_encoder
from tasks.prepare import prepare, prepare_transfer
from tasks.run import paid_once, run_of
from tasks.try_bases import try_bases, try_engines


class Compared(Record):
    """The results of a benchmark."""

    rows: list[Row]
    transfer: list[Row]
    """The rows on problems of another kind, after the last iteration."""
    measured: list[MethodScore]
    warnings: list[str]
    """What went wrong with the responses, and what to change."""
    job: JobRun
    report: str
    """Path of the page with the report."""


@flow(name="benchmark", flow_run_name="{config.society} · benchmark")
def benchmark(config: Benchmark) -> Compared:
    """Run every method under every seed, then make the table and the report.

    Started again after an interruption, the flow resumes where it stopped.
    """
    tag_run(society_tag(config.society))
    bases = identify_bases(config, [config.base_model])
    mixed = identify_bases(config, config.base_models) if config.base_models else None
    for each in [bases, *([mixed] if mixed else [])]:
        try_bases(run_of(config, each), finetune=config.finetune, agents=config.agents)
    if not config.engine.in_process:
        try_engines(run_of(config, bases), finetune=config.finetune)
    encoder = identify_encoder(config.encoder) if config.encoder else None
    problems = {seed: prepare(config.problems, grader=config.answers, seed=seed, draw=0) for seed in config.seeds}
    other = {
        seed: prepare_transfer(config.transfer, config.problems, grader=config.answers, seed=seed)
        if config.transfer
        else None
        for seed in config.seeds
    }
    job = open_benchmark(config, bases, mixed=mixed, problems=problems, transfer=other)
    order, measured = METHODS.names(), []
    with watched(job.run_id):
        for seed in config.seeds:
            questions = Questions(sets=problems[seed], transfer=other[seed], encoder=encoder)
            found: dict[MethodName, list[MethodScore]] = {}
            # Matched methods come after the method whose tokens they match.
            for name in sorted(config.methods, key=lambda name: (METHODS[name].matched, order.index(name))):
                settings = config.job(METHODS[name], seed)
                own = mixed if mixed and METHODS[name].mixed else bases
                run = paid_once(run_of(config, own), job.run_id)
                if METHODS[name].matched:
                    found[name] = match(name, settings, run=run, reference=found[REFERENCE])
                else:
                    found[name] = run_method(name, settings, run=run, questions=questions)
                log_method(job, name, seed=seed, measured=found[name])
                measured += found[name]
    rows, transfer = compare_methods(config, job, measured=measured)
    warnings = warnings_of(config, measured)
    return Compared(rows=rows, transfer=transfer, measured=measured, warnings=warnings, job=job, report=report(job))
