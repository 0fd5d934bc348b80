"""Register: the lineage of a run in MLflow. All of it is idempotent, so a resumed run makes no duplicates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pandas as pd
from prefect import task

from agents.algorithm import StoredProblems
from agents.ask import Card
from agents.engines.base_model import Bases
from agents.engines.settings import EngineSettings
from agents.frames import read_problems, read_responses
from agents.hosted.spending import priced
from agents.records import Finetuned, Generation, Responses, Transcript
from agents.store import Artifact, Store
from evaluation.answers.grader import Grader
from evaluation.record import Record, Role
from evaluation.reporting.advice import generation_warnings
from evaluation.reporting.markdown import generations_page
from evaluation.scores import GenerationScores
from infra.config.job import Config
from infra.config.sections import material
from infra.home.cache import step
from infra.home.store import current_store
from infra.lineage import contents, runs
from infra.lineage.agents import RegisteredAdapter, log_accuracy, register_adapter
from infra.lineage.differences import join_lineage, log_differences, log_new_differences
from infra.lineage.model.save import save as save_society
from infra.lineage.records import DatasetRef, JobRun, identity
from infra.lineage.scores import log_scores, log_society
from infra.lineage.societies import SocietyVersion, missing_versions, register_society
from infra.lineage.traces import log_debates
from infra.lineage.view import update_view
from tasks.lineage.costs import log_costs
from tasks.lineage.start import Start

ROLES = get_args(Role)
TRANSCRIPTS = 50
"""Number of held-out debates shown per generation."""


class Filed(Record):
    """The job that a generation belongs to, and the config and problems that it was made with."""

    job: JobRun
    config: Config
    problems: StoredProblems


@task(task_run_name="open the MLflow run")
def open_lineage(config: Config, bases: Bases, *, problems: StoredProblems, start: Start) -> JobRun:
    """Open the MLflow run of this job; a job that was started before gets the same run again."""
    job = runs.open_job(
        config.society,
        identity(start.request, start.first_generation, problems.train.sha256, problems.evaluation.sha256),
        f"{config.society} · {start.made(config.iterations)} · seed {config.seed}",
        material(config),
        {
            "prefect.flow_run_id": start.flow_run_id,
            "maft.base_model_sha256": bases.sha256,
            "maft.request": start.request,
            "maft.start_version": start.origin.version if start.origin else "base",
            "maft.champion": start.champion or "base",
            "maft.first_generation": str(start.first_generation),
        },
        start.first_generation,
    )
    join_lineage(job, start.parent_run, config.seed)
    log_new_differences(job)
    update_view(job.experiment_id, agents=config.agents, rounds=config.debate.rounds)
    contents.log_datasets(job.run_id, _problem_refs(config, problems))
    whole = config.model_copy(update={"prompts": config.prompts.whole})
    immaterial = {"runner": set(whole.runner.NOT_IN_CACHE_KEY)}
    contents.log_text(job.run_id, whole.model_dump_json(indent=2, exclude=immaterial), "config.json")
    return job


def _deleted(given: Mapping[str, Any]) -> str | None:
    """What a user has deleted in MLflow of a generation that was recorded or registered; None if all is there."""
    job, new = given["filed"].job, given.get("new")
    scores = new.scores if new else given["scores"]
    if runs.find_generation(job, scores.generation) is None:
        return "its run in MLflow was deleted"
    gone = missing_versions(job, scores.generation, [agent.name for agent in new.society.agents]) if new else []
    return f"the version of {gone[0]} in MLflow was deleted" if gone else None


@step(name="generation {scores.generation} · record", fault=_deleted)
def record(filed: Filed, scores: GenerationScores, *, debated: Transcript) -> None:
    """Log scores and debates of the generation that a job starts from; the job only measures it."""
    _log(filed, scores, debated, {}, {})
    _log_costs(filed, scores, debated.rounds, [])


@step(name="generation {new.scores.generation} · register", fault=_deleted)
def register(filed: Filed, new: Generation, *, bases: Bases, parent: SocietyVersion | None) -> SocietyVersion:
    """Register every agent as a version of its model, log scores and debates, then register the society.

    Args:
        filed: the job, its config, and the problems that the generation was trained and measured on.
        new: the new generation.
        bases: the base models of its agents.
        parent: the previous generation; None for the untuned base.
    """
    job, config, store = filed.job, filed.config, current_store()
    versions = {
        result.agent.name: register_adapter(
            job,
            new.scores.generation,
            result.agent,
            adapter_folder=store.folder(result.agent.adapter) if result.agent.adapter else None,
            adapter_sha256=result.agent.adapter,
            parent_version=parent.agent_versions[result.agent.name] if parent else None,
            dataset_sha256=dataset.examples.sha256,
            base_model=bases.of(result.agent.index).name,
            examples=result.examples,
            unchanged=result.adapter is None,
        )
        for result, dataset in zip(new.learned.tuned, new.learned.datasets, strict=True)
    }
    made_from = parent.generation if parent else 0
    _log(filed, new.scores, new.debated, versions, _made(new, parent))
    _log_costs(filed, new.scores, [*new.learned.sampled, *new.debated.rounds], new.learned.tuned)
    for agent in new.society.agents:
        log_accuracy(job, agent, versions[agent.name], new.scores, made_from)
    with TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        card = Card(
            society=new.society,
            bases=bases,
            prompts=config.prompts.texts,
            answers=config.answers,
            debate=config.debate,
            sampling=config.sampling,
            engine=_service(config, bases),
            hosted=tuple(config.hosted.agents) if config.hosted else None,
        )
        save_society(model, config.society, card, adapters=store.folders)
        registered = register_society(
            job,
            new.society,
            versions,
            parent_version=parent.version if parent else None,
            bases=bases,
            model_folder=model,
            description=f"{100 * new.scores.accuracy:.1f} ± {100 * new.scores.standard_error:.1f} % on "
            f"{new.scores.problems} held-out problems{_where(config)}",
        )
    run_id = runs.open_generation(job, new.scores.generation)
    log_society(run_id, registered.model_id, new.scores, _problem_refs(config, filed.problems)[1])
    return registered


def _log_costs(
    filed: Filed, scores: GenerationScores, debates: Sequence[Responses], tuned: Sequence[Finetuned]
) -> None:
    """Log what a generation cost, if prices are known."""
    if prices := priced(filed.config.service):
        hosted = filed.config.hosted.agents if filed.config.hosted else None
        store = current_store()
        log_costs(filed.job, scores.generation, debates, tuned, store=store, prices=prices, hosted=hosted)


def _where(config: Config) -> str:
    """Says which agents are at a service, if not all are on this machine."""
    if config.hosted:
        return (
            f"; agents {', '.join(map(str, config.hosted.agents))} are at a service ({config.hosted.finetune.method})"
        )
    return f"; its agents are at a service ({config.finetune.method})" if config.finetune.asks_service else ""


def _service(config: Config, bases: Bases) -> EngineSettings | None:
    """The engine of a society whose weights are at a service, with the service's name of the base; else None."""
    if not (config.hosted or config.finetune.asks_service):
        return None
    # The base that is copied into the society's model has another name.
    base = bases.of(config.hosted.agents[0] if config.hosted else 0)
    named = {"model": base.name.partition("@")[0]} if getattr(config.service, "model", "") is None else {}
    return config.service.model_copy(update=named)


def _made(new: Generation, parent: SocietyVersion | None) -> dict[str, str | int]:
    """What a generation was made from, as params of its run."""
    examples = new.scores.examples
    return {
        "parent": f"generation {parent.generation}, version {parent.version}" if parent else "base",
        **{
            f"examples.{role}s": sum(size for name, size in examples.items() if name.startswith(role)) for role in ROLES
        },
    }


def _log(
    filed: Filed,
    scores: GenerationScores,
    debated: Transcript,
    versions: dict[str, RegisteredAdapter],
    made: Mapping[str, str | int],
) -> None:
    job, config = filed.job, filed.config
    refs = _problem_refs(config, filed.problems)
    log_scores(job, scores, versions, refs[1])
    run_id = runs.open_generation(job, scores.generation)
    portion = max(job.first_generation, scores.generation) if config.problems.renew else job.first_generation
    contents.log_params(run_id, {"generation": scores.generation, "portion": portion, **made})
    log_differences(job, run_id)
    contents.log_datasets(run_id, refs if versions else refs[1:])
    warnings = generation_warnings([scores], config.sampling.max_new_tokens)
    runs.describe(run_id, generations_page([scores], job.society, warnings))
    show_debates(run_id, job, debated, grader=config.answers)


def show_debates(run_id: str, job: JobRun, debated: Transcript, *, grader: Grader) -> None:
    """Show held-out debates of a generation on a run's page: some as a table, a few as traces."""
    debates = debates_frame(current_store(), debated)
    contents.log_transcripts(run_id, debates, by="question", debates=TRANSCRIPTS)
    stream = debated.stream
    log_debates(job.experiment_id, run_id, job.job, stream.iteration, debates, stream.seed, grader=grader)


def debates_frame(store: Store, debated: Transcript) -> pd.DataFrame:
    """The turns of every debate in reading order, with the question and the reference answer."""
    frame = read_responses(store, debated.responses)
    frame = frame[~frame["carried"]].copy()
    asked = {problem.id: problem for problem in read_problems(store, debated.problems)}
    order = {id_: place for place, id_ in enumerate(asked)}
    frame["question"] = [asked[id_].question for id_ in frame["problem_id"]]
    frame["reference"] = [asked[id_].answer for id_ in frame["problem_id"]]
    frame["agent"] = frame["role"] + "-" + frame["index"].astype(str)
    frame["place"] = frame["problem_id"].map(order)
    columns = ["question", "reference", "round", "agent", "heard", "summary", "text", "answer", "weight"]
    return frame.sort_values(["place", "round", "index"])[columns]


def _problem_refs(config: Config, problems: StoredProblems) -> list[DatasetRef]:
    def ref(name: str, artifact: Artifact, source: str) -> DatasetRef:
        context = "training" if name == "train" else "evaluation"
        return DatasetRef(name=name, sha256=artifact.sha256, rows=artifact.rows, source=source, context=context)

    train = config.problems.train
    return [
        ref("train", problems.train, train),
        ref("evaluation", problems.evaluation, config.problems.evaluation or train),
    ]
