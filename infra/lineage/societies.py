"""Societies in MLflow's model registry: a registered model with the society's name, one version per generation.

A version is the whole society as a model that answers questions. Its tags name the versions of its 2N agents, and a
society is read from these tags only. The agents' models have the aliases `candidate` and `champion` too, for users who
load a single agent. An alias moves on the agents' models first and on the society's model last, so the society's alias
is always valid, and once it has moved, all have moved.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from agents.engines.base_model import Base, Bases
from agents.society import Agent, Society
from evaluation.record import Record
from infra.errors import UserError
from infra.lineage.agents import SIDE_BY_SIDE, RegisteredAdapter, model_name
from infra.lineage.client import client, find
from infra.lineage.pages import comparison_link, origin, plain, society_page, version_link, version_page
from infra.lineage.records import JobRun
from infra.lineage.runs import MOST_RUNS, find_generation, find_run, generation_run, get_experiment, mark
from infra.lineage.scores import ACCURACY, STANDARD_ERROR
from infra.lineage.versions import (
    BASE,
    create_model,
    create_version,
    find_model,
    find_version,
    link,
    model_id,
    open_model,
)
from infra.lineage.view import ALIAS

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

Alias = Literal["candidate", "champion"]
ALIASES = ("candidate", "champion")
VERSION = re.compile(r"[1-9][0-9]{0,8}")
AGENTS = "agents"
"""The tag that every version of a society has: JSON, agent name -> {version, adapter_sha256}."""


BASES = "bases"
"""The tag with the base models of a version: JSON, as `Bases` reads it."""


PRUNED = "pruned"
"""The tag of a version whose files `infra.lineage.prune` has deleted, or is deleting; its records stay."""


class SocietyVersion(Record):
    """One generation of a society in the registry."""

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset({"pruned"})

    name: str
    version: str
    generation: int
    society: Society
    agent_versions: dict[str, str]
    """Agent name -> version of its registered model."""
    bases: Bases
    """Whether a base may run its own code is not registered, but a matter of the config."""
    model_id: str
    run_id: str
    pruned: bool = False
    """Whether its files were deleted."""


def register_society(
    job: JobRun,
    society: Society,
    registered: Mapping[str, RegisteredAdapter],
    *,
    parent_version: str | None,
    bases: Bases,
    model_folder: Path,
    description: str,
) -> SocietyVersion:
    """Register a generation as a version and make it the candidate; a second call returns the registered version.

    The candidate is always the newest version: registering an older generation again does not change it.

    Args:
        job: The job's run; the generation's accuracy must have been logged to the generation's run before.
        society: The society of generation 1 or later.
        registered: The versions of its agents, by agent name.
        parent_version: Version of the society that it was made from; None for the base.
        bases: The base models of its agents.
        model_folder: An MLflow model, written by `infra.lineage.model.save.save`; it must contain MLmodel.
        description: A sentence for the version's page, markdown.
    Raises:
        FileNotFoundError: model_folder has no MLmodel.
        KeyError: an agent is not registered.
    """
    if not (model_folder / "MLmodel").is_file():
        raise FileNotFoundError(f"{model_folder / 'MLmodel'} is missing: the folder is not an MLflow model")
    agents = {
        agent.name: {"version": registered[agent.name].version, "adapter_sha256": agent.adapter}
        for agent in society.agents
    }
    members = json.dumps(agents)
    digest = hashlib.sha256(members.encode()).hexdigest()
    key = {"job": job.job, "generation": str(society.generation), "agents_sha256": digest}
    found = find_version(job.society, key)
    if found is None:
        tags = key | {"parent_version": parent_version or BASE, AGENTS: members}
        tags |= {"base_model": bases.name, "base_sha256": bases.sha256}
        tags[BASES] = bases.trusting(False).model_dump_json(exclude_defaults=True)
        found = _create(job, society.generation, key, tags, model_folder, description)
    else:  # The generation's run may be a new one, since a user deleted the first.
        _link(job, society.generation, model_id(found), parent_version)
    version = _read(found)
    candidate = find_society(job.society, "candidate")
    if candidate is None or int(candidate.version) <= int(version.version):
        move_alias(job.society, "candidate", candidate, version)
    update_page(job.society)
    return version


def find_society(name: str, which: str) -> SocietyVersion | None:
    """Find a generation of a society; None if the society, alias or version does not exist.

    If a move of the champion was cut off, this gives the old or the new champion. Code that needs the new one first
    calls `infra.lineage.champion.finish_interrupted_move`.

    Args:
        name: Name of the society.
        which: champion, candidate or the number of a version.
    Raises:
        UserError: `which` is none of these.
    """
    if which not in ALIASES and not VERSION.fullmatch(which):
        raise UserError(
            f"generation is {which!r}; it must be champion, candidate or the number of a version of society {name!r}"
        )
    mlflow = client()
    read = mlflow.get_model_version_by_alias if which in ALIASES else mlflow.get_model_version
    found = find(read, name, which)
    return _read(found) if found and AGENTS in found.tags else None


def list_societies(name: str) -> list[SocietyVersion]:
    """All generations of a society in the order of versions; empty if the society does not exist."""
    return [_read(version) for version in registered_versions(name)]


def registered_versions(name: str) -> "list[ModelVersion]":
    """All generations of a society as MLflow has them, with their tags, in the order of versions."""
    if find_model(name) is None:
        return []
    versions = client().search_model_versions(f"name = '{name}'", order_by=["version_number ASC"])
    return [version for version in versions if AGENTS in version.tags]


def missing_versions(job: JobRun, generation: int, agents: Sequence[str]) -> list[str]:
    """The registered models, of the society and of its agents by name, without a version of this job and generation."""
    wanted = [job.society, *(model_name(job.society, agent) for agent in agents)]
    of_job = f"tags.`job` = '{job.job}' AND tags.`generation` = '{generation}'"
    found = client().search_model_versions(f"name LIKE '{job.society}%' AND {of_job}")
    return [name for name in wanted if name not in {version.name for version in found}]


def next_generation(name: str) -> int:
    """The number of the society's next generation: its highest plus one; 1 if it has none."""
    return 1 + max((version.generation for version in list_societies(name)), default=0)


def move_alias(name: str, alias: Alias, old: SocietyVersion | None, new: SocietyVersion | None) -> None:
    """Move an alias of the society and of all its agents to one generation; a call after a kill completes the move.

    Args:
        name: Name of the society.
        alias: The alias to move.
        old: The generation that has the alias now; agents that are not in the new generation lose it.
        new: The generation that gets the alias; None removes the alias everywhere.
    """
    mlflow = client()
    agents = new.agent_versions if new else {}
    for agent in old.agent_versions if old else ():
        if agent not in agents:
            mlflow.delete_registered_model_alias(model_name(name, agent), alias)
    for agent, version in agents.items():
        mlflow.set_registered_model_alias(model_name(name, agent), alias, version)
    if new:
        mlflow.set_registered_model_alias(name, alias, new.version)
    else:
        mlflow.delete_registered_model_alias(name, alias)


def update_page(name: str) -> None:
    """Update the description of the society's registered model, and the aliases on the runs of its generations."""
    mlflow = client()
    model = mlflow.get_registered_model(name)
    found = mlflow.search_model_versions(f"name = '{name}'", order_by=["version_number DESC"])
    versions = [version for version in found if AGENTS in version.tags]
    page = society_page(model, versions)
    if model.description != page:
        mlflow.update_registered_model(name, page)
    experiment = get_experiment(name)
    if experiment:
        _mark_runs(experiment.experiment_id, model, versions)


def _mark_runs(experiment_id: str, model: "RegisteredModel", versions: "Sequence[ModelVersion]") -> None:
    """Set the tag `alias` of the generations' runs, which the comparison of generations shows."""
    holders: dict[str, list[str]] = {}
    for version in versions:
        names = sorted(alias for alias, at in model.aliases.items() if str(at) == str(version.version))
        # The version's own run may have been deleted and made again.
        own = {"maft.kind": "generation"} | {f"maft.{key}": version.tags[key] for key in ("job", "generation")}
        if names and (run := find_run(experiment_id, own, newest=True)):
            holders[run.info.run_id] = names
    for run in client().search_runs([experiment_id], f"tags.`{ALIAS}` LIKE '%'", max_results=MOST_RUNS):
        if run.info.run_id not in holders:
            mark(run.info.run_id, {ALIAS: None})
    for run_id, names in holders.items():
        mark(run_id, {ALIAS: ", ".join(names)})


def _create(
    job: JobRun, generation: int, key: dict[str, str], tags: dict[str, str], folder: Path, description: str
) -> "ModelVersion":
    name, parent = job.society, tags["parent_version"]
    run = generation_run(job, generation)

    def upload(model: str) -> None:
        client().log_model_artifacts(model, str(folder))

    model = open_model(job, f"{name}-generation-{generation}", run, key, tags, "maft-society", upload)
    _link(job, generation, model, None if parent == BASE else parent)
    if parent == BASE:  # Otherwise the parent's version exists, so the registered model exists too.
        create_model(name, f"The society **{name}**, one version per generation.", {"role": "society"})
    facts = _facts(job, tags) | origin(job.experiment_id, run.info.run_id, model)
    page = version_page(f"Generation {generation}: {description}", facts)
    return create_version(name, run, model, tags | _accuracy(run), page)


def _link(job: JobRun, generation: int, model: str, parent_version: str | None) -> None:
    """Record the model as the output of the generation's run, and its parent's as the input."""
    parent = model_id(client().get_model_version(job.society, parent_version)) if parent_version else None
    link(generation_run(job, generation), model, parent)


def _read(version: "ModelVersion") -> SocietyVersion:
    members = json.loads(version.tags[AGENTS])
    agents = [
        Agent.model_validate({"role": role, "index": index, "adapter": members[name]["adapter_sha256"]})
        for name in members
        for role, _, index in [name.rpartition("-")]
    ]
    agents.sort(key=lambda agent: agent.index)
    generation = int(version.tags["generation"])
    return SocietyVersion(
        name=version.name,
        version=str(version.version),
        generation=generation,
        society=Society(
            generation=generation,
            generators=[agent for agent in agents if agent.role == "generator"],
            critics=[agent for agent in agents if agent.role == "critic"],
        ),
        agent_versions={agent.name: str(members[agent.name]["version"]) for agent in agents},
        bases=_bases(version.tags),
        model_id=model_id(version),
        run_id=str(version.run_id),
        pruned=PRUNED in version.tags,
    )


def _bases(tags: Mapping[str, str]) -> Bases:
    """The base models; a version of an earlier maft has names and digests only, one per line."""
    if BASES in tags:
        return Bases.model_validate_json(tags[BASES])
    lines = zip(tags["base_model"].splitlines(), tags["base_sha256"].splitlines(), strict=True)
    return Bases(each=tuple(Base(name=name, sha256=sha256) for name, sha256 in lines))


def _accuracy(run: "Run") -> dict[str, str]:
    """Tags with the generation's accuracy on the held-out problems and its standard error, if they were logged."""
    numbers = {
        key: run.data.metrics.get(of) for key, of in (("accuracy", ACCURACY), ("standard_error", STANDARD_ERROR))
    }
    return {key: repr(number) for key, number in numbers.items() if number is not None}


def _comparison(job: JobRun, tags: dict[str, str]) -> dict[str, str]:
    """A link that compares the generation with its parent, as both were measured in this job."""
    parent = tags["parent_version"]
    before = 0 if parent == BASE else client().get_model_version(job.society, parent).tags["generation"]
    runs = [find_generation(job, int(generation)) for generation in (tags["generation"], before)]
    ids = [run.info.run_id for run in runs if run]
    return {"comparison": comparison_link(job.experiment_id, ids, SIDE_BY_SIDE)} if len(ids) > 1 else {}


def _facts(job: JobRun, tags: dict[str, str]) -> dict[str, str]:
    parent = tags["parent_version"]
    bases = dict.fromkeys(zip(tags["base_model"].splitlines(), tags["base_sha256"].splitlines(), strict=True))
    base = " and ".join(f"the base model {plain(name)}, SHA-256 `{sha256}`" for name, sha256 in bases)
    inputs = client().get_run(job.run_id).inputs
    data = [f"{plain(one.dataset.name)} `{one.dataset.digest}`" for one in inputs.dataset_inputs] if inputs else []
    agents = [
        version_link(model_name(job.society, agent), member["version"], f"{agent} version {member['version']}")
        for agent, member in json.loads(tags[AGENTS]).items()
    ]
    return {
        **_comparison(job, tags),
        "parent": base if parent == BASE else version_link(job.society, parent),
        "agents": ", ".join(agents),
        **({"data": ", ".join(data)} if data else {}),
        **({} if parent == BASE else {"base": base}),
    }
