"""Scores of generations in MLflow: every number a metric, and back again to the very same `GenerationScores`.

A metric's step is the generation. The job's run has them all, which gives curves; each generation's run has its own,
which lets generations and jobs be compared side by side, and is what `read_generations` reads, since one search returns
them all where the curves would take one request per metric.
"""

import hashlib
import json
import math
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evaluation.scores import GenerationScores
from infra.errors import UserError
from infra.lineage.agents import RegisteredAdapter
from infra.lineage.client import client, find
from infra.lineage.records import DatasetRef, JobRun
from infra.lineage.runs import experiment_name, find_run, generation_run, get_experiment

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

# A metric's name up to the slash is its section among the charts of a run; sections are in the order of the alphabet.
ACCURACY, STANDARD_ERROR = "accuracy/society", "standard-error/society"
_METRIC_OF_FIELD = {
    "accuracy": ACCURACY,
    "standard_error": STANDARD_ERROR,
    "consensus": "agreement/consensus",
    "pseudo_label_accuracy": "accuracy/labels kept",
    "dropped_label_accuracy": "accuracy/labels dropped",
    "problems": "work/problems",
    "kept_labels": "work/labels kept",
    "dropped_labels": "work/labels dropped",
    "sampled_tokens": "work/tokens sampled",
    "trained_tokens": "work/tokens trained",
    "fallback_share": "messages/fallbacks",
}
_METRIC_OF_ROUND = {
    "mean_accuracy": "round-{}/mean",
    "majority_accuracy": "round-{}/majority",
    "mean_standard_error": "standard-error/round-{} mean",
    "majority_standard_error": "standard-error/round-{} majority",
}
_EXAMPLES, _SECONDS = "work/examples ", "seconds/"
_ROUND = re.compile(r"round-(\d+)/")
_SCORED = "maft.scores"
_UNCHANGED = "maft.unchanged"


def log_scores(
    job: JobRun,
    scores: GenerationScores,
    registered: Mapping[str, RegisteredAdapter],
    evaluation: DatasetRef | None = None,
) -> None:
    """Log a generation's scores on the job's run, on the generation's and on its agents'; then end the generation's.

    Logging the same again changes nothing: all points of a generation carry the time at which its run began, and MLflow
    keeps a point once. Should a job that lost its cache come to other numbers (seconds will differ), these are logged
    at the present time, and the newest is what is read back.

    Args:
        job: The job's run.
        scores: What the generation scored; rounds ascending, generators before critics, indices ascending.
        registered: The generation's adapters by agent name; none for generation 0. Each agent's own scores are
            also metrics of its LoggedModel.
        evaluation: The held-out problems, for the LoggedModels' metrics to refer to.
    Raises:
        ValueError: the scores could not be read back as they are, so nothing was logged.
    """
    from mlflow.entities import Metric, RunTag

    numbers = _numbers(scores)
    finite = all(math.isfinite(number) for number in numbers.values())
    if not finite or _scores(scores.generation, numbers, scores.unchanged) != scores:
        raise ValueError(
            f"scores of generation {scores.generation} would not come back from MLflow as they are: rounds must "
            "ascend, generators come before critics, indices ascend, and no number may be NaN or infinite"
        )
    run = generation_run(job, scores.generation)
    digest = hashlib.sha256(scores.model_dump_json().encode()).hexdigest()
    if run.data.tags.get(_SCORED) == digest:
        return
    differ = any(run.data.metrics.get(key, value) != value for key, value in numbers.items())
    at = int(time.time() * 1000) if differ else run.info.start_time
    mlflow = client()
    metrics = [Metric(key, value, at, scores.generation) for key, value in numbers.items()]
    mlflow.log_batch(job.run_id, metrics=metrics)
    mlflow.log_batch(run.info.run_id, metrics=metrics)
    for agent_name, adapter in registered.items():
        mlflow.log_batch(adapter.run_id, metrics=_agent_metrics(agent_name, adapter, scores, at, evaluation))
    mlflow.set_terminated(run.info.run_id)
    # Last, since it is what says that the generation is complete.
    tags = [RunTag(_UNCHANGED, json.dumps(scores.unchanged)), RunTag(_SCORED, digest)]
    mlflow.log_batch(run.info.run_id, tags=tags)


def log_society(run_id: str, model_id: str, scores: GenerationScores, evaluation: DatasetRef) -> None:
    """Hang a generation's main scores on the society's LoggedModel, as `log_scores` does for its agents.

    Args:
        run_id: the generation's run.
        model_id: of the society's LoggedModel.
        scores: what the generation scored.
        evaluation: the held-out problems.
    """
    from mlflow.entities import Metric

    mlflow = client()
    at = mlflow.get_run(run_id).info.start_time
    numbers = {"accuracy": scores.accuracy, "standard_error": scores.standard_error, "consensus": scores.consensus}
    data = {"dataset_name": evaluation.name, "dataset_digest": evaluation.digest}
    metrics = [Metric(key, value, at, scores.generation, model_id, **data) for key, value in numbers.items()]
    mlflow.log_batch(run_id, metrics=metrics)


def log_numbers(run_id: str, scores: GenerationScores) -> None:
    """The same metrics on any run, such as that of an evaluation, at the time when it began."""
    from mlflow.entities import Metric

    mlflow = client()
    at = mlflow.get_run(run_id).info.start_time
    numbers = _numbers(scores)
    mlflow.log_batch(run_id, metrics=[Metric(key, value, at, scores.generation) for key, value in numbers.items()])


def read_generations(society: str, job_run_id: str | None = None) -> tuple[JobRun, list[GenerationScores]]:
    """The scores of a job by generation, exactly as they were logged; generations not yet complete are left out.

    Args:
        society: Name of the society.
        job_run_id: The run of one of its jobs; by default the job that was started last.
    Raises:
        UserError: there is no such society, job or complete generation at the tracking server.
    """
    mlflow = client()
    where = f"at {mlflow.tracking_uri}"
    experiment = get_experiment(society)
    if experiment is None:
        raise UserError(f"society {society!r} has no runs {where} (no MLflow experiment {experiment_name(society)})")
    if job_run_id:
        run = _get_job(experiment.experiment_id, job_run_id)
    else:
        run = find_run(experiment.experiment_id, {"maft.kind": "job"}, newest=True)
    if run is None:
        which = f"no job with run id {job_run_id}" if job_run_id else "no job"
        raise UserError(f"society {society!r} has {which} {where}")
    job = JobRun(
        society=society,
        job=run.data.tags["maft.job"],
        tracking_uri=client().tracking_uri,
        experiment_id=experiment.experiment_id,
        run_id=run.info.run_id,
        first_generation=int(run.data.tags.get("maft.first_generation", 1)),
    )
    wanted = f"tags.`mlflow.parentRunId` = '{job.run_id}' AND tags.`maft.kind` = 'generation'"
    children = mlflow.search_runs([job.experiment_id], wanted, max_results=1000)
    generations = [_read(child) for child in children if _SCORED in child.data.tags]
    if not generations:
        raise UserError(f"job {job.run_id} of society {society!r} {where} has no complete generation yet")
    return job, sorted(generations, key=lambda scores: scores.generation)


def _get_job(experiment_id: str, run_id: str) -> "Run | None":
    run = find(client().get_run, run_id)
    if run is None or run.info.experiment_id != experiment_id or run.data.tags.get("maft.kind") != "job":
        return None
    return run


def _read(run: "Run") -> GenerationScores:
    tags = run.data.tags
    return _scores(int(tags["maft.generation"]), run.data.metrics, json.loads(tags[_UNCHANGED]))


def _numbers(scores: GenerationScores) -> dict[str, float]:
    """Every number of the scores by metric name; a None has no metric. What people look at first is there twice."""
    first, last = scores.rounds[0], scores.rounds[-1]
    numbers: dict[str, float] = {
        "accuracy/generators": first.mean_accuracy,
        "accuracy/majority": first.majority_accuracy,
    }
    if len(scores.rounds) > 1:
        numbers["accuracy/critics"] = last.mean_accuracy
    plain = {metric: getattr(scores, field) for field, metric in _METRIC_OF_FIELD.items()}
    numbers |= {metric: float(value) for metric, value in plain.items() if value is not None}
    for one in scores.rounds:
        numbers |= {metric.format(one.round): getattr(one, field) for field, metric in _METRIC_OF_ROUND.items()}
        numbers |= {f"round-{one.round}/{a.role}-{a.index}": a.accuracy for a in one.agents}
    numbers |= {f"work/examples {agent}": float(size) for agent, size in scores.dataset_sizes.items()}
    numbers |= {f"seconds/{stage}": seconds for stage, seconds in scores.seconds.items()}
    return numbers


def _scores(generation: int, numbers: Mapping[str, float], unchanged: list[str]) -> GenerationScores:
    """The inverse of `_numbers`."""
    fields: dict[str, Any] = {field: numbers.get(metric) for field, metric in _METRIC_OF_FIELD.items()}
    sizes = {key.removeprefix(_EXAMPLES): size for key, size in numbers.items() if key.startswith(_EXAMPLES)}
    seconds = {key.removeprefix(_SECONDS): value for key, value in numbers.items() if key.startswith(_SECONDS)}
    rounds = []
    for number in sorted({int(found[1]) for key in numbers if (found := _ROUND.match(key))}):
        agents = []
        for key, value in numbers.items():
            if found := re.fullmatch(rf"round-{number}/(generator|critic)-(\d+)", key):
                agents.append({"role": found[1], "index": int(found[2]), "accuracy": value})
        agents.sort(key=lambda agent: (agent["role"] != "generator", agent["index"]))
        means = {field: numbers[metric.format(number)] for field, metric in _METRIC_OF_ROUND.items()}
        rounds.append({"round": number, "agents": agents, **means})
    return GenerationScores.model_validate(
        {
            **fields,
            "generation": generation,
            "unchanged": unchanged,
            "dataset_sizes": sizes,
            "seconds": seconds,
            "rounds": rounds,
        }
    )


def _agent_metrics(
    agent_name: str, adapter: RegisteredAdapter, scores: GenerationScores, at: int, evaluation: DatasetRef | None
) -> "list[Metric]":
    """Accuracy in every round the agent takes part in, and in its last round under the plain name `accuracy`."""
    from mlflow.entities import Metric

    numbers: dict[str, float] = {}
    for one in scores.rounds:
        for agent in one.agents:
            if f"{agent.role}-{agent.index}" == agent_name:
                numbers |= {f"round-{one.round}/accuracy": agent.accuracy, "accuracy": agent.accuracy}
    return [
        Metric(
            key,
            value,
            at,
            scores.generation,
            model_id=adapter.model_id,
            dataset_name=evaluation.name if evaluation else None,
            dataset_digest=evaluation.digest if evaluation else None,
        )
        for key, value in numbers.items()
    ]
