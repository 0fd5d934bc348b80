"""Compare: a benchmark's lineage in MLflow, its table on both web pages, and its report."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from agents.algorithm import StoredProblems
from agents.benchmark.score_method import MethodScore
from agents.engines.base_model import Bases
from agents.frames import read_problems, read_responses
from agents.store import Artifact, Store
from evaluation.answers.grader import Grader
from evaluation.benchmark.debates import Held, worth_reading
from evaluation.benchmark.methods import METHODS, REFERENCE, MethodName
from evaluation.benchmark.results import Outcome, Row, summarise
from evaluation.reporting.advice import benchmark_warnings
from evaluation.reporting.benchmark_table import benchmark_markdown
from evaluation.reporting.markdown import warnings_markdown
from evaluation.scores import ResponseShares
from infra.cli.console_log import AT_END
from infra.config.benchmark import Benchmark
from infra.config.sections import material
from infra.home.cache import step
from infra.home.home import current_home
from infra.home.store import current_store
from infra.lineage import contents, runs
from infra.lineage.benchmark import BENCHMARK, DEBATES, VALUES, VERSIONS, page_of, publish, read_benchmark, versions
from infra.lineage.client import client
from infra.lineage.records import DatasetRef, JobRun, identity
from tasks.lineage.start import current_flow_run_id


@task(task_run_name="open the MLflow run")
def open_benchmark(
    config: Benchmark,
    bases: Bases,
    *,
    mixed: Bases | None,
    problems: dict[int, StoredProblems],
    transfer: dict[int, Artifact | None],
) -> JobRun:
    """Open the MLflow run of this benchmark; a benchmark that was started before gets the same run again.

    Args:
        bases: the base of `config.base_model`.
        mixed: the bases of `config.base_models`; None if there are none.
        problems: the problems of each seed.
        transfer: the held-out problems of another kind of each seed, or None.
    """
    digests_of_bases = {
        "maft.base_model_sha256": bases.sha256,
        **({"maft.base_models_sha256": mixed.sha256} if mixed else {}),
    }
    settings = material(config)
    train = config.problems.train
    used = [
        (f"{name}, seed {seed}", artifact, source, context)
        for seed, sets in problems.items()
        for name, artifact, source, context in (
            ("train", sets.train, train, "training"),
            ("evaluation", sets.evaluation, config.problems.evaluation or train, "evaluation"),
            ("transfer", transfer[seed], config.transfer.source if config.transfer else "", "evaluation"),
        )
        if artifact
    ]
    digests = {name: artifact.sha256 for name, artifact, _, _ in used}
    tags = {"prefect.flow_run_id": current_flow_run_id(), **digests_of_bases}
    job = runs.open_job(
        config.society,
        identity(settings, digests_of_bases, digests),
        f"{config.society} · benchmark of {len(config.methods)} methods",
        settings,
        tags,
        kind="benchmark",
    )
    contents.log_datasets(
        job.run_id,
        [
            DatasetRef(name=name, sha256=artifact.sha256, rows=artifact.rows, source=source, context=context)
            for name, artifact, source, context in used
        ],
    )
    immaterial = {"runner": set(config.runner.NOT_IN_CACHE_KEY)}
    contents.log_text(job.run_id, config.model_dump_json(indent=2, exclude=immaterial), "config.json")
    return job


@step(name="{name} · seed {seed} · log")
def log_method(job: JobRun, name: MethodName, *, seed: int, measured: list[MethodScore]) -> None:
    """Log one method under one seed as a run below the benchmark's run; its curves have one step per iteration."""
    from mlflow.entities import Metric

    tags = {"mlflow.parentRunId": job.run_id, "maft.kind": "method", "maft.method": name, "maft.seed": str(seed)}
    run = runs.open_nested(job, f"{METHODS[name].title} · seed {seed}", tags)
    contents.log_params(run.info.run_id, {"method": name, "seed": seed, **METHODS[name].model_dump(mode="json")})
    metrics = [
        # The time is the start of the run, so that logging the same metrics again changes nothing.
        Metric(key, value, run.info.start_time, each.outcome.iteration)
        for each in measured
        for key, value in _numbers(each.outcome).items()
    ]
    mlflow = client()
    mlflow.log_batch(run.info.run_id, metrics=metrics)
    agents = {each.outcome.iteration: each.society.model_dump(mode="json") for each in measured}
    contents.log_text(run.info.run_id, json.dumps(agents, indent=1), "agents.json")
    mlflow.set_terminated(run.info.run_id)


def _numbers(outcome: Outcome) -> dict[str, float]:
    if outcome.transfer:
        shares = _shares("transfer/responses/", outcome)
        return {"transfer/accuracy": outcome.accuracy, "transfer/accuracy/alone": outcome.alone, **shares}
    spread = outcome.diversity
    names = ("nll", "own_nll", "kl", "dissimilarity", "consensus") if spread else ()
    measures = {name: getattr(spread, name) for name in names}
    labels = outcome.pseudo_label_accuracy
    return {
        "accuracy": outcome.accuracy,
        "accuracy/alone": outcome.alone,
        **({} if labels is None else {"pseudo-labels/accuracy": labels}),
        **({} if outcome.fallback_share is None else {"messages/fallbacks": outcome.fallback_share}),
        **_shares("responses/", outcome),
        **_shares("responses/training ", outcome.training_responses),
        "work/labels": outcome.labels,
        "work/examples": outcome.examples,
        "work/sampled tokens": outcome.training.sampled_tokens + outcome.answering.sampled_tokens,
        "work/trained tokens": outcome.training.trained_tokens,
        "seconds/training": outcome.training.seconds,
        "seconds/answering": outcome.answering.seconds,
        **{f"diversity/{name}": measure.value for name, measure in measures.items() if measure},
    }


def _shares(prefix: str, responses: ResponseShares) -> dict[str, float]:
    shares = {"unanswered": responses.unanswered_share, "cut": responses.cut_share}
    return {f"{prefix}{name}": share for name, share in shares.items() if share is not None}


@task(task_run_name="compare the methods")
def compare_methods(config: Benchmark, job: JobRun, *, measured: list[MethodScore]) -> tuple[list[Row], list[Row]]:
    """Make the table, publish it on both web pages, log all values in MLflow, and end the MLflow run.

    Returns:
        The rows for the held-out problems, and the rows for problems of another kind.
    """
    store = current_store()
    scored = [each.scored(store) for each in measured]
    rows, transfer = (summarise([s for s in scored if s.outcome.transfer == other]) for other in (False, True))
    report = {
        "rows": [row.model_dump(mode="json") for row in rows],
        "transfer": [row.model_dump(mode="json") for row in transfer],
        "outcomes": [each.outcome.model_dump(mode="json") for each in measured],
    }
    contents.log_text(job.run_id, json.dumps(report, indent=1), BENCHMARK)
    debates = [debate.model_dump(mode="json") for debate in worth_reading(_held(store, measured, config.answers))]
    contents.log_text(job.run_id, json.dumps(debates, indent=1), DEBATES)
    contents.log_text(job.run_id, json.dumps(versions(), indent=1), VERSIONS)
    with tempfile.TemporaryDirectory() as folder:
        values = Path(folder) / Path(VALUES).name
        _all_values(store, measured).to_parquet(values, compression="zstd", index=False)
        contents.log_artifacts(job.run_id, [values], str(Path(VALUES).parent))
    warnings = warnings_of(config, measured)
    for warning in warnings:
        get_run_logger().warning(warning, extra=AT_END)
    table = benchmark_markdown(rows, transfer, config.society, config.seeds)
    table = f"{warnings_markdown(warnings)}\n\n{table}" if warnings else table
    runs.describe(job.run_id, table)
    create_markdown_artifact(
        f"{table}\n\n[The run in MLflow]({runs.run_url(job)})",
        key=f"{config.society}-benchmark",
        description=f"Society {config.society}: methods on held-out problems",
    )
    runs.close_job(job, "FINISHED")
    return rows, transfer


def warnings_of(config: Benchmark, measured: list[MethodScore]) -> list[str]:
    """What went wrong with the responses of a benchmark, and what to change."""
    return benchmark_warnings([each.outcome for each in measured], config.sampling.max_new_tokens)


@task(task_run_name="write the report")
def report(job: JobRun) -> str:
    """Write the page from the data in MLflow alone, to the home and to the benchmark's run; return its path."""
    path = page_of(current_home(), job)
    publish(read_benchmark(job.society, job.run_id), path)
    return str(path)


def _held(store: Store, measured: list[MethodScore], grader: Grader) -> Iterator[Held]:
    """The debates of multiagent finetuning, or of untuned agents if multiagent finetuning is not compared."""
    names = {each.outcome.method for each in measured}
    name: MethodName = REFERENCE if REFERENCE in names else "debate"
    for each in measured:
        if each.outcome.method == name and not each.outcome.transfer:
            problems, said = read_problems(store, each.problems), read_responses(store, each.answered)
            yield Held(name, each.outcome.iteration, each.outcome.seed, problems, said, grader)


def _all_values(store: Store, measured: list[MethodScore]) -> pd.DataFrame:
    """A frame with the columns method, iteration, seed, transfer, problem_id, right, alone."""
    frames = []
    for each in measured:
        frame = store.frame(each.values)
        for place, name in enumerate(("method", "iteration", "seed", "transfer")):
            frame.insert(place, name, getattr(each.outcome, name))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
