"""Deletes the files of old generations from MLflow; their records stay: versions, verdicts, runs, metrics, debates.

A version is tagged before its files are deleted, so that nothing starts from half a society; from then on, no command
takes it. A job is tagged when all its generations are: then nobody needs its data sets either, see
`infra.operation.prune`. All of it can be repeated, so that the next call completes one that was killed.
"""

import json
from typing import TYPE_CHECKING, Any

from infra.lineage.agents import model_name
from infra.lineage.champion import previous_champion
from infra.lineage.client import client
from infra.lineage.runs import all_jobs
from infra.lineage.societies import AGENTS, PRUNED, registered_versions
from infra.lineage.versions import find_model, model_id

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

BEGUN, DONE = "begun", "done"
"""Values of the tag `pruned` of a version, and of the tag `maft.pruned` of a run."""
RUN_PRUNED = "maft.pruned"


def prune_generations(name: str, keep: int) -> "list[Run]":
    """Delete the files of all generations but the newest, the champion and others that are in use.

    Args:
        name: name of the society.
        keep: the number of newest generations that keep their files.

    Returns:
        The runs of the jobs whose generations are all pruned now, and which were not tagged as done.
    """
    model = find_model(name)
    if model is None:
        return []
    mlflow = client()
    versions = registered_versions(name)
    stays = {str(version.version) for version in versions[-keep:]} | _in_use(name, model.aliases)
    for version in versions:
        if str(version.version) not in stays and version.tags.get(PRUNED) != DONE:
            mlflow.set_model_version_tag(name, version.version, PRUNED, BEGUN)
            _delete_files(version)
            mlflow.set_model_version_tag(name, version.version, PRUNED, DONE)
    whole = {version.tags["job"] for version in versions if str(version.version) in stays}
    gone = {version.tags["job"] for version in versions} - whole
    jobs = [run for run in all_jobs(name) if run.data.tags["maft.job"] in gone]
    return [run for run in jobs if run.data.tags.get(RUN_PRUNED) != DONE]


def mark(job: "Run", value: str) -> None:
    """Tag the runs of a job, so that their data sets count as needed no longer; the job's own run comes last."""
    mlflow = client()
    own = f"tags.`maft.job` = '{job.data.tags['maft.job']}'"
    runs = mlflow.search_runs([job.info.experiment_id], own, max_results=10_000)
    for run in sorted(runs, key=lambda run: run.info.run_id == job.info.run_id):
        mlflow.set_tag(run.info.run_id, RUN_PRUNED, value)


def _in_use(name: str, aliases: dict[str, str]) -> set[str]:
    """The versions with an alias, the one that a rollback brings back, and those that unfinished jobs need."""
    used = {str(version) for version in aliases.values()} | {previous_champion(name)}
    for job in all_jobs(name):
        if job.info.status == "RUNNING":
            used |= {job.data.tags["maft.start_version"], job.data.tags["maft.champion"]}
    return {version for version in used if version}


def _delete_files(version: "ModelVersion") -> None:
    """Delete the files of a society's version and of its agents' versions."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    mlflow = client()
    members = json.loads(version.tags[AGENTS]).items()
    agents = [mlflow.get_model_version(model_name(version.name, agent), one["version"]) for agent, one in members]
    for each in [version, *agents]:
        model = mlflow.get_logged_model(model_id(each))
        files: Any = get_artifact_repository(str(model.artifact_location))
        files.delete_artifacts()
    for each in agents:
        mlflow.set_model_version_tag(each.name, each.version, PRUNED, DONE)
