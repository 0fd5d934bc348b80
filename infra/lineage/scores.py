"""Logs the scores of generations as MLflow metrics, and reads them back as equal `GenerationScores`.

A metric's step is the generation. The job's run has the metrics of all generations, which MLflow shows as curves. Each
generation's run has its own metrics, so that MLflow can compare generations and jobs side by side. `read_generations`
reads these, since one search returns them all, while the curves would take one request per metric.
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

# MLflow groups the charts of a run by the part of the metric's name before the slash, in alphabetical order.
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
    "unanswered_share": "responses/unanswered",
    "cut_share": "responses/cut",
}
_METRIC_OF_TRAINING = {
    "unanswered_share": "responses/training unanswered",
    "cut_share": "responses/training cut",
}
_METRIC_OF_AGENT = {
    "accuracy": "round-{}/{}-{}",
    "unanswered_share": "responses/round-{} {}-{} unanswered",
    "cut_share": "responses/round-{} {}-{} cut",
}
_METRIC_OF_ROUND = {
    "mean_accuracy": "round-{}/mean",
    "majority_accuracy": "round-{}/majority",
    "mean_standard_error": "standard-error/round-{} mean",
    "majority_standard_error": "standard-error/round-{} majority",
    "consensus": "agreement/round-{}",
}
_METRIC_OF_EACH = {
    "dataset_sizes": "work/examples ",
    "agreeing": "work/agreeing ",
    "left_out": "work/left out ",
    "seconds": "seconds/",
}
"""Fields with a number for each agent or stage, whose name follows the metric's."""
_ROUND = re.compile(r"round-(\d+)/")
_SCORED = "maft.scores"
_UNCHANGED = "maft.unchanged"


def log_scores(
    job: JobRun,
    scores: GenerationScores,
    registered: Mapping[str, RegisteredAdapter],
    evaluation: DatasetRef | None = None,
) -> None:
    """Log a generation's scores to the runs of the job, the generation and its agents; then end the generation's run.

    Logging the same scores again changes nothing: all points of a generation have the start time of its run, and MLflow
    stores equal points once. If a job that lost its cache gets other numbers (seconds will differ), these are logged
    with the present time, and `read_generations` reads the newest.

    Args:
        job: The job's run.
        scores: The generation's scores; rounds ascending, generators before critics, indices ascending.
        registered: The generation's adapters by agent name; empty for generation 0. Each agent's own scores are
            also metrics of its LoggedModel.
        evaluation: The held-out problems, to which the LoggedModels' metrics refer.
    Raises:
        ValueError: the scores could not be read back unchanged; nothing was logged.
    """
    from mlflow.entities import Metric, RunTag

    numbers = _numbers(scores)
    finite = all(math.isfinite(number) for number in numbers.values())
    if not finite or _scores(scores.generation, numbers, scores.unchanged) != scores:
        raise ValueError(
            f"scores of generation {scores.generation} could not be read back from MLflow unchanged: rounds and "
            "indices must ascend, generators must come before critics, and no number may be NaN or infinite"
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
    number = Metric("generation", scores.generation, at, scores.generation)  # The comparison sorts by it.
    mlflow.log_batch(run.info.run_id, metrics=[*metrics, number])
    for agent_name, adapter in registered.items():
        mlflow.log_batch(adapter.run_id, metrics=_agent_metrics(agent_name, adapter, scores, at, evaluation))
    mlflow.set_terminated(run.info.run_id)
    # The tags come last, since they say that the generation is complete.
    tags = [RunTag(_UNCHANGED, json.dumps(scores.unchanged)), RunTag(_SCORED, digest)]
    mlflow.log_batch(run.info.run_id, tags=tags)


def log_society(run_id: str, model_id: str, scores: GenerationScores, evaluation: DatasetRef) -> None:
    """Log a generation's main scores as metrics of the society's LoggedModel, as `log_scores` does for its agents.

    Args:
        run_id: id of the generation's run.
        model_id: id of the society's LoggedModel.
        scores: the generation's scores.
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
    """Log the scores as metrics of any run, such as an evaluation's, with the start time of the run."""
    from mlflow.entities import Metric

    mlflow = client()
    at = mlflow.get_run(run_id).info.start_time
    numbers = _numbers(scores)
    mlflow.log_batch(run_id, metrics=[Metric(key, value, at, scores.generation) for key, value in numbers.items()])


def read_generations(society: str, job_run_id: str | None = None) -> tuple[JobRun, list[GenerationScores]]:
    """Read the scores of a job in the order of generations, as they were logged; incomplete generations are left out.

    Args:
        society: Name of the society.
        job_run_id: Id of the run of one of its jobs; default: the job that was started last.
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
    """All numbers of the scores by metric name, and sums of the costs; None has no metric, the main accuracies two."""
    first, last = scores.rounds[0], scores.rounds[-1]
    numbers: dict[str, float] = {
        "accuracy/generators": first.mean_accuracy,
        "accuracy/majority": first.majority_accuracy,
        "cost/tokens": float(scores.sampled_tokens + scores.trained_tokens),
        "cost/seconds": sum(scores.seconds.values()),
    }
    if len(scores.rounds) > 1:
        numbers["accuracy/critics"] = last.mean_accuracy
    maybe = {metric: getattr(scores, field) for field, metric in _METRIC_OF_FIELD.items()}
    trained = scores.training_responses
    maybe |= {metric: getattr(trained, field) for field, metric in _METRIC_OF_TRAINING.items()}
    for one in scores.rounds:
        maybe |= {metric.format(one.round): getattr(one, field) for field, metric in _METRIC_OF_ROUND.items()}
        for a in one.agents:
            place = one.round, a.role, a.index
            maybe |= {metric.format(*place): getattr(a, field) for field, metric in _METRIC_OF_AGENT.items()}
    numbers |= {metric: float(value) for metric, value in maybe.items() if value is not None}
    for field, metric in _METRIC_OF_EACH.items():
        numbers |= {f"{metric}{name}": float(number) for name, number in getattr(scores, field).items()}
    return numbers


def _scores(generation: int, numbers: Mapping[str, float], unchanged: list[str]) -> GenerationScores:
    """Make scores from metrics; the inverse of `_numbers`."""
    fields: dict[str, Any] = {field: numbers.get(metric) for field, metric in _METRIC_OF_FIELD.items()}
    for field, metric in _METRIC_OF_EACH.items():
        fields[field] = {key.removeprefix(metric): value for key, value in numbers.items() if key.startswith(metric)}
    rounds = []
    for number in sorted({int(found[1]) for key in numbers if (found := _ROUND.match(key))}):
        agents = []
        for key in numbers:
            if found := re.fullmatch(rf"round-{number}/(generator|critic)-(\d+)", key):
                place = number, found[1], found[2]
                own = {field: numbers.get(metric.format(*place)) for field, metric in _METRIC_OF_AGENT.items()}
                agents.append({"role": found[1], "index": int(found[2]), **own})
        agents.sort(key=lambda agent: (agent["role"] != "generator", agent["index"]))
        means = {field: numbers.get(metric.format(number)) for field, metric in _METRIC_OF_ROUND.items()}
        rounds.append({"round": number, "agents": agents, **means})
    return GenerationScores.model_validate(
        {
            **fields,
            "generation": generation,
            "unchanged": unchanged,
            "training_responses": {field: numbers.get(metric) for field, metric in _METRIC_OF_TRAINING.items()},
            "rounds": rounds,
        }
    )


def _agent_metrics(
    agent_name: str, adapter: RegisteredAdapter, scores: GenerationScores, at: int, evaluation: DatasetRef | None
) -> "list[Metric]":
    """The agent's accuracy in each of its rounds; that of its last round also has the name `accuracy`."""
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
