"""Register: the lineage of a run in MLflow. Everything here is idempotent, so a resumed run doubles nothing."""

import hashlib
import json

import pandas as pd
from prefect import task
from prefect.context import FlowRunContext

from agents.engines.base_model import Base
from evaluation.report import generations_picture
from evaluation.scores import GenerationScores, Record
from infra import lineage
from infra.cache import step
from infra.config import Config
from infra.frames import read_problems, read_responses
from infra.generations import log_scores
from infra.home import current_home
from infra.lineage import DatasetRef, JobRun
from infra.registry import RegisteredAdapter, register_adapter
from infra.store import Artifact, Store
from tasks.finetune import Finetuned
from tasks.prepare import PreparedProblems
from tasks.sample import Responses
from tasks.split import Dataset

TRANSCRIPTS = 50
"""Held-out debates shown per generation."""


class Registered(Record):
    """The versions of one generation by agent name; empty for generation 0, which has no adapters."""

    versions: dict[str, RegisteredAdapter]


@task(task_run_name="open the MLflow run")
def open_lineage(config: Config, base: Base, problems: PreparedProblems) -> JobRun:
    """The MLflow run of this job: the one it had before, if it was started before."""
    settings = config.model_dump(mode="json", exclude={"runner"})
    identity = json.dumps([settings, base.sha256, problems.train.sha256, problems.evaluation.sha256], sort_keys=True)
    context = FlowRunContext.get()
    flow_run_id = str(context.flow_run.id) if context and context.flow_run else ""
    job = lineage.open_job(
        config.society,
        hashlib.sha256(identity.encode()).hexdigest()[:16],
        config.seed,
        settings,
        {"prefect.flow_run_id": flow_run_id, "maft.base_model_sha256": base.sha256},
    )
    lineage.log_datasets(job.run_id, _problem_refs(config, problems))
    return job


@step("infra.lineage", "infra.registry", "infra.generations", name="generation {scores.generation} · register")
def register(
    tracking_uri: str,
    job: JobRun,
    config: Config,
    base: Base,
    problems: PreparedProblems,
    scores: GenerationScores,
    debated: list[Responses],
    tuned: list[Finetuned],
    datasets: list[Dataset],
    parents: Registered,
) -> Registered:
    """Every agent of a generation as a version of its registered model, then the generation's scores and debates.

    Args:
        tracking_uri: part of the cache key, so that another MLflow server is given the lineage too.
        tuned: the agents of the generation, none for generation 0.
        datasets: what each of them learned from.
        parents: the versions of the generation before.
    """
    store = Store(current_home().artifacts)
    versions = {
        result.agent.name: register_adapter(
            job,
            scores.generation,
            result.agent,
            adapter_folder=store.folder(result.agent.adapter) if result.agent.adapter else None,
            adapter_sha256=result.agent.adapter,
            parent_version=parents.versions[result.agent.name].version if parents.versions else None,
            dataset_sha256=dataset.examples.sha256,
            base_model=base.name,
            examples=result.examples,
            unchanged=result.adapter is None,
        )
        for result, dataset in zip(tuned, datasets, strict=True)
    }
    evaluation = _problem_refs(config, problems)[1]
    log_scores(job, scores, versions, evaluation)
    run_id = lineage.open_generation(job, scores.generation)
    lineage.log_transcripts(run_id, _debates(store, problems.evaluation, debated), by="question", debates=TRANSCRIPTS)
    return Registered(versions=versions)


@task(task_run_name="close the MLflow run")
def close_lineage(job: JobRun, generations: list[GenerationScores]) -> None:
    """Draw the picture of the generations into the run and end it."""
    picture = current_home().pictures / f"{job.society}-{job.job}.png"
    generations_picture(generations, job.society, picture)
    lineage.log_artifacts(job.run_id, [picture], "pictures")
    lineage.close_job(job, "FINISHED")


def _problem_refs(config: Config, problems: PreparedProblems) -> list[DatasetRef]:
    def ref(name: str, artifact: Artifact, source: str) -> DatasetRef:
        context = "training" if name == "train" else "evaluation"
        return DatasetRef(name=name, sha256=artifact.sha256, rows=artifact.rows, source=source, context=context)

    train = config.problems.train
    return [
        ref("train", problems.train, train),
        ref("evaluation", problems.evaluation, config.problems.evaluation or train),
    ]


def _debates(store: Store, problems: Artifact, debated: list[Responses]) -> pd.DataFrame:
    """The turns of every debate in reading order, with the question and the reference answer."""
    frame = read_responses(store, [response.responses for response in debated])
    asked = {problem.id: problem for problem in read_problems(store, problems)}
    order = {id_: place for place, id_ in enumerate(asked)}
    frame["question"] = [asked[id_].question for id_ in frame["problem_id"]]
    frame["reference"] = [asked[id_].answer for id_ in frame["problem_id"]]
    frame["agent"] = frame["role"] + "-" + frame["index"].astype(str)
    frame["place"] = frame["problem_id"].map(order)
    columns = ["question", "reference", "round", "agent", "summary", "text", "answer"]
    return frame.sort_values(["place", "round", "index"])[columns]
