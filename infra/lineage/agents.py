"""Adapters in MLflow's model registry: one registered model per agent of a society, one version per generation.

A version holds the PEFT folder of the adapter. Its files are in an MLflow LoggedModel, which also has the agent's
scores. After a kill, the next call completes the registration and makes nothing twice, see `infra.lineage.versions`.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from agents.hosted.adapter import adapter_files, read_hosted
from agents.society import Agent
from agents.store import Store
from evaluation.record import Record
from evaluation.scores import GenerationScores
from infra.errors import UserError
from infra.lineage.client import client
from infra.lineage.pages import (
    ACCURACY,
    PARENT,
    agent_page,
    comparison_link,
    origin,
    plain,
    version_link,
    version_page,
    with_fact,
)
from infra.lineage.records import DatasetRef, JobRun
from infra.lineage.runs import agent_run, find_generation
from infra.lineage.versions import BASE, create_model, create_version, find_version, link, model_id, open_model

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

SIDE_BY_SIDE = "this generation and its parent, on the same problems"
NO_ADAPTER = "none"
NOT_HERE = "not here"


class RegisteredAdapter(Record):
    """One version of one agent in the registry."""

    name: str
    version: str
    model_id: str
    run_id: str


def model_name(society: str, agent_name: str) -> str:
    """The name of an agent's registered model: SOCIETY-generator-0."""
    return f"{society}-{agent_name}"


def register_adapter(
    job: JobRun,
    generation: int,
    agent: Agent,
    *,
    adapter_folder: Path | None,
    adapter_sha256: str | None,
    parent_version: str | None,
    dataset_sha256: str,
    base_model: str,
    examples: int,
    unchanged: bool,
) -> RegisteredAdapter:
    """Register an agent after `generation` finetuning iterations; a second call returns the registered version.

    If a user has deleted the agent's run or its version, the second call makes it again.

    An agent without an adapter, which never had data to learn from, is registered too, so that every generation is
    complete in the registry. Its only file is a README that says that it equals the base; its adapter_sha256 is "none".

    Args:
        job: The job's run.
        generation: Number of the generation, 1 or more.
        agent: The agent, by role and index.
        adapter_folder: the adapter's folder in the store; None for no adapter.
        adapter_sha256: Digest of the adapter; None for no adapter.
        parent_version: Version of the agent in the previous generation of the same job; None for the base.
        dataset_sha256: Digest of the data set that the agent learned from.
        base_model: Name of the adapter's base model.
        examples: Number of rows of the data set.
        unchanged: Whether the agent kept the adapter of the previous generation, since it had no data.
    Raises:
        ValueError: only one of adapter_folder and adapter_sha256 is given.
        FileNotFoundError: adapter_folder lacks a file.
    """
    if (adapter_folder is None) != (adapter_sha256 is None):
        raise ValueError(f"{agent.name}: adapter_folder and adapter_sha256 must both be given, or neither")
    files, name = adapter_files(adapter_folder) if adapter_folder else [], model_name(job.society, agent.name)
    key = {"job": job.job, "generation": str(generation), "adapter_sha256": adapter_sha256 or NO_ADAPTER}
    found = find_version(name, key)
    tags = key | {"role": agent.role, "index": str(agent.index), "parent_version": parent_version or BASE}
    tags |= {"base_model": base_model, "dataset_sha256": dataset_sha256, "examples": str(examples)}
    tags |= {"unchanged": str(unchanged).lower()} | _hosted_tags(adapter_folder)
    run = agent_run(job, generation, agent.name)

    def upload(model: str) -> None:
        _upload(model, files, _readme(name, tags))

    title = f"{name}-generation-{generation}"
    model = model_id(found) if found else open_model(job, title, run, key, tags, "maft-agent", upload)
    data = DatasetRef(
        name=agent.name, sha256=dataset_sha256, rows=examples, source="its own words", columns=("messages",)
    )
    parent = model_id(client().get_model_version(name, parent_version)) if parent_version else None
    link(run, model, parent, [data])
    client().set_terminated(run.info.run_id)
    if found:
        return _registered(found, run)
    if parent_version is None:  # Otherwise the parent's version exists, so the registered model exists too.
        create_model(name, _about(job.society, agent), {"role": agent.role, "index": str(agent.index)})
    page = version_page(_summary(tags), _facts(name, tags) | origin(job.experiment_id, run.info.run_id, model))
    return _registered(create_version(name, run, model, tags, page), run)


def log_accuracy(job: JobRun, agent: Agent, version: RegisteredAdapter, scores: GenerationScores, parent: int) -> None:
    """Write the accuracy of an agent's version in each of its rounds to its tags and pages, beside its parent's.

    Both were measured in the same job, and so on the same problems.

    Args:
        job: The job's run.
        agent: The agent, by role and index.
        version: Its version of this generation.
        scores: The generation's scores.
        parent: The number of the generation that it was made from.
    """
    mlflow = client()
    before, own = find_generation(job, parent), find_generation(job, scores.generation)
    tags, texts = {}, []
    for one in scores.rounds:
        for spoken in (each for each in one.agents if (each.role, each.index) == (agent.role, agent.index)):
            tag = f"{ACCURACY}{one.round}"
            tags[tag], text = repr(spoken.accuracy), f"{100 * spoken.accuracy:.1f} % in round {one.round}"
            earlier = before.data.metrics.get(f"{tag}/{agent.name}") if before else None
            if earlier is not None:
                tags[f"{PARENT}{tag}"], text = repr(earlier), f"{text}, its parent {100 * earlier:.1f} %"
            texts.append(text)
    at = mlflow.get_model_version(version.name, version.version)
    for tag, value in tags.items():
        if at.tags.get(tag) != value:
            mlflow.set_model_version_tag(version.name, version.version, tag, value)
    page = str(at.description)
    if before and own:
        link = comparison_link(job.experiment_id, [own.info.run_id, before.info.run_id], SIDE_BY_SIDE)
        page = with_fact(page, "comparison", link)
    if texts:
        page = with_fact(page, "accuracy", "; ".join(texts))
    if page != at.description:
        mlflow.update_model_version(version.name, version.version, page)
    versions = mlflow.search_model_versions(f"name = '{version.name}'", order_by=["version_number DESC"])
    model = mlflow.get_registered_model(version.name)
    whole = agent_page(_about(job.society, agent), versions)
    if model.description != whole:
        mlflow.update_registered_model(version.name, whole)


def _registered(version: "ModelVersion", run: "Run") -> RegisteredAdapter:
    fields = {"name": version.name, "version": str(version.version), "run_id": run.info.run_id}
    return RegisteredAdapter.model_validate({**fields, "model_id": model_id(version)})


def _hosted_tags(folder: Path | None) -> dict[str, str]:
    """Where a service keeps an adapter, and how it was made; empty if its weights are only here."""
    hosted = read_hosted(folder) if folder else None
    if hosted is None:
        return {}
    apart = NOT_HERE if hosted.nats_apart is None else f"here, {hosted.nats_apart:.2g} nats per token from the served"
    told = {"service": hosted.service, "service_base": hosted.base, "speaks_as": hosted.speaks_as}
    return told | {"made_by": hosted.made_by, "learned_sha256": hosted.learned, "weights": apart}


def _upload(model: str, files: list[Path], readme: str) -> None:
    mlflow = client()
    with TemporaryDirectory() as folder:
        card = Path(folder, "README.md")
        card.write_text(readme, encoding="utf-8")
        for file in [*files, card]:
            mlflow.log_model_artifact(model, str(file))


def _about(society: str, agent: Agent) -> str:
    role = "answers first" if agent.role == "generator" else "revises what the generators answered"
    return f"A {agent.role} ({role}) of the society [{society}](#/models/{society}), one version per generation."


def _facts(name: str, tags: dict[str, str]) -> dict[str, str]:
    parent = tags["parent_version"]
    base = f"the base model {plain(tags['base_model'])}"
    return {
        "parent": base if parent == BASE else version_link(name, parent),
        "data": f"{tags['examples']} examples, SHA-256 `{tags['dataset_sha256']}`",
        "adapter": "none" if tags["adapter_sha256"] == NO_ADAPTER else f"of {base}, SHA-256 `{tags['adapter_sha256']}`",
    }


def _summary(tags: dict[str, str]) -> str:
    generation, parent = f"Generation {tags['generation']}", tags["parent_version"]
    if tags["adapter_sha256"] == NO_ADAPTER:
        return f"{generation}: equals the base model {plain(tags['base_model'])}, no data to learn from yet."
    if tags["unchanged"] == "true":
        return f"{generation}: equals version {parent}, no data to learn from."
    tuned = "the base model" if parent == BASE else f"version {parent}"
    return f"{generation}: {tuned} tuned on {tags['examples']} examples."


def _readme(name: str, tags: dict[str, str]) -> str:
    rows = "".join(f"| {key} | {value} |\n" for key, value in tags.items())
    text = f"# {name}\n\n{_summary(tags)}\n\n"
    if tags["adapter_sha256"] != NO_ADAPTER and tags.get("weights") != NOT_HERE:
        text += f"Load: `peft.PeftModel.from_pretrained(base, folder)`, base being `{tags['base_model']}`.\n\n"
    return f"{text}| tag | value |\n|---|---|\n{rows}"


def fetch_adapter(store: Store, name: str, version: str, sha256: str) -> None:
    """Put the adapter of a registered agent into the store, unless a complete copy is there.

    Args:
        store: the home's store.
        name: name of the registered model, such as arith-critic-0.
        version: version of the registered model.
        sha256: digest of the adapter's folder, by which agents refer to it.

    Raises:
        UserError: the registry has another adapter under this version.
    """
    if store.whole_folder(sha256):
        return
    from mlflow.artifacts import download_artifacts

    with TemporaryDirectory() as folder:
        fetched = Path(download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=folder))

        def write(target: Path) -> None:
            for file in adapter_files(fetched):
                shutil.copyfile(file, target / file.name)

        found = store.put_folder(write, 0).sha256
    if found != sha256:
        raise UserError(
            f"models:/{name}/{version} holds an adapter with digest {found[:12]}, but its society was registered with "
            f"{sha256[:12]}; start from another version"
        )
