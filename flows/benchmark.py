"""Benchmark: every method on the same problems under the same seeds (`maft benchmark`)."""

from prefect import flow

from evaluation.benchmark.methods import METHODS, NAMES, REFERENCE, MethodName
from evaluation.benchmark.results import Row
from evaluation.record import Record
from flows.method import follow, match
from infra.config.benchmark import Benchmark
from infra.lineage.client import client
from infra.lineage.records import JobRun
from infra.lineage.system_metrics import watched
from tasks.compare import compare, log_method, open_benchmark, report
from tasks.outcome import Measured
from tasks.prepare import prepare, prepare_transfer
from tasks.weigh import weigh, weigh_encoder


class Compared(Record):
    """What a benchmark came to."""

    rows: list[Row]
    transfer: list[Row]
    """On problems of another kind, after the last iteration."""
    measured: list[Measured]
    job: JobRun
    report: str
    """Path of the page that tells of it."""


@flow(name="benchmark", flow_run_name="{config.society} · benchmark")
def benchmark(config: Benchmark) -> Compared:
    """Every method under every seed, then the table and the report. Started again, it goes on where it was cut off."""
    bases = weigh([config.base_model], config.trust_remote_code)
    mixed = weigh(config.base_models, config.trust_remote_code) if config.base_models else None
    encoder = weigh_encoder(config.encoder) if config.encoder else None
    problems = {seed: prepare(config.problems, seed, 0) for seed in config.seeds}
    other = {
        seed: prepare_transfer(config.transfer, config.problems, seed) if config.transfer else None
        for seed in config.seeds
    }
    job = open_benchmark(config, bases, mixed, problems, other)
    tracking_uri = client().tracking_uri
    measured: list[Measured] = []
    with watched(job.run_id):
        for seed in config.seeds:
            found: dict[MethodName, list[Measured]] = {}
            # Those that are measured by another's tokens come after it.
            for name in sorted(config.methods, key=lambda name: (METHODS[name].matched, NAMES.index(name))):
                settings = config.job(METHODS[name], seed)
                own = mixed if mixed and METHODS[name].mixed else bases
                if METHODS[name].matched:
                    found[name] = match(name, settings, own, found[REFERENCE])
                else:
                    found[name] = follow(name, settings, own, problems[seed], other[seed], encoder)
                log_method(tracking_uri, job, name, seed, found[name])
                measured += found[name]
    rows, transfer = compare(config, job, measured)
    return Compared(rows=rows, transfer=transfer, measured=measured, job=job, report=report(job))
