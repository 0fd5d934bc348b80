"""Adapters in MLflow's model registry: one registered model per agent of a society, one version per generation.

A version is the plain PEFT folder, under an MLflow LoggedModel that the agent's scores hang on. The steps run in such
an order, and each looks in such a way for what is there, that a kill between any two leaves nothing that the next
call would make a second time; the version comes last, so a version that exists is complete.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from agents.society import Agent
from evaluation.scores import Record
from infra.lineage import DatasetRef, JobRun, agent_run, client, log_datasets

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

NO_ADAPTER = "none"
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


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
    """Register an agent as it is after `generation` finetuning iterations; called again, give what is there.

    An agent that has no adapter, since it never had data to learn from, is still a version, so that every generation
    is complete in the registry: its files are a README that says it is the base, its adapter_sha256 is "none".

    Args:
        job: The job's run.
        generation: 1 or more.
        agent: Its role and index.
        adapter_folder: PEFT folder with adapter_config.json and adapter_model.safetensors; None for no adapter.
        adapter_sha256: Digest of the adapter; None for no adapter.
        parent_version: Version of the previous generation of the same job; None for the base.
        dataset_sha256: Digest of the data set it learned from.
        base_model: Name of the base model the adapter belongs to.
        examples: Rows of that data set.
        unchanged: It kept the adapter of the previous generation for want of data.
    Raises:
        ValueError: only one of adapter_folder and adapter_sha256 is given.
        FileNotFoundError: adapter_folder lacks one of the two files.
    """
    if (adapter_folder is None) != (adapter_sha256 is None):
        raise ValueError(f"{agent.name}: adapter_folder and adapter_sha256 must both be given, or neither")
    files = _adapter_files(adapter_folder)
    name = model_name(job.society, agent.name)
    key = {"job": job.job, "generation": str(generation), "adapter_sha256": adapter_sha256 or NO_ADAPTER}
    found = _find_version(name, key)
    if found is not None:
        return _registered(found)
    tags = key | {"role": agent.role, "index": str(agent.index), "parent_version": parent_version or "base"}
    tags |= {"base_model": base_model, "dataset_sha256": dataset_sha256}
    tags |= {"examples": str(examples), "unchanged": str(unchanged).lower()}
    run = agent_run(job, generation, agent.name)
    model = _open_model(job, f"{name}-generation-{generation}", run, key, tags)
    if str(model.status) != "READY":
        _upload(model, files, _readme(name, tags))
        client().finalize_logged_model(model.model_id, "READY")
    data = DatasetRef(name=agent.name, sha256=dataset_sha256, rows=examples, source="its own words")
    _link(run, model, data, name, parent_version)
    client().set_terminated(run.info.run_id)
    return _registered(_create_version(name, model, run, tags))


def _find_version(name: str, key: dict[str, str]) -> "ModelVersion | None":
    wanted = " AND ".join([f"name = '{name}'", *(f"tags.`{k}` = '{v}'" for k, v in key.items())])
    versions = client().search_model_versions(wanted, max_results=1, order_by=["version_number ASC"])
    return versions[0] if versions else None


def _registered(version: "ModelVersion") -> RegisteredAdapter:
    fields = {"name": version.name, "version": str(version.version), "run_id": version.run_id}
    return RegisteredAdapter.model_validate({**fields, "model_id": _model_id(version)})


def _model_id(version: "ModelVersion") -> str:
    """From its source, models:/MODEL_ID: a server with a SQL store answers None for the version's own `model_id`."""
    return str(version.source).removeprefix("models:/")


def _open_model(job: JobRun, name: str, run: "Run", key: dict[str, str], tags: dict[str, str]) -> "LoggedModel":
    """The LoggedModel of this registration: perhaps left by a killed one, with files missing as long as not READY."""
    mlflow = client()
    wanted = " AND ".join([f"name = '{name}'", *(f"tags.`{k}` = '{v}'" for k, v in key.items())])
    models = mlflow.search_logged_models([job.experiment_id], wanted, max_results=1)
    if models:
        return models[0]
    return mlflow.create_logged_model(
        job.experiment_id, name, source_run_id=run.info.run_id, tags=tags, model_type="maft-agent"
    )


def _adapter_files(folder: Path | None) -> list[Path]:
    files = [folder / name for name in ADAPTER_FILES] if folder else []
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing: an adapter folder has {' and '.join(ADAPTER_FILES)}")
    return files


def _upload(model: "LoggedModel", files: list[Path], readme: str) -> None:
    mlflow = client()
    with TemporaryDirectory() as folder:
        card = Path(folder, "README.md")
        card.write_text(readme, encoding="utf-8")
        for file in [*files, card]:
            mlflow.log_model_artifact(model.model_id, str(file))


def _link(run: "Run", model: "LoggedModel", data: DatasetRef, name: str, parent_version: str | None) -> None:
    """Draw the edges of the graph: data set and previous version go into the run, the model comes out of it."""
    from mlflow.entities import LoggedModelOutput

    mlflow = client()
    inputs = [known.model_id for known in run.inputs.model_inputs] if run.inputs else []
    outputs = [known.model_id for known in run.outputs.model_outputs] if run.outputs else []
    parent = _model_id(mlflow.get_model_version(name, parent_version)) if parent_version else None
    log_datasets(run.info.run_id, [data], [parent] if parent and parent not in inputs else [])
    if model.model_id not in outputs:
        mlflow.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])


def _create_version(name: str, model: "LoggedModel", run: "Run", tags: dict[str, str]) -> "ModelVersion":
    mlflow = client()
    if tags["parent_version"] == "base":  # otherwise there is a version already, and so a model
        _create_registered_model(name, tags["role"], tags["index"])
    return mlflow.create_model_version(
        name,
        source=f"models:/{model.model_id}",
        run_id=run.info.run_id,
        tags=tags,
        description=_summary(tags),
        await_creation_for=0,  # it is ready when the call returns; waiting would only ask again
        model_id=model.model_id,
    )


def _create_registered_model(name: str, role: str, index: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        tags = {"role": role, "index": index}
        client().create_registered_model(name, tags=tags, description=f"{name}: one version per generation.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _summary(tags: dict[str, str]) -> str:
    if tags["adapter_sha256"] == NO_ADAPTER:
        return (
            f"Generation {tags['generation']}: equals the base model {tags['base_model']}, no data to learn from yet."
        )
    if tags["unchanged"] == "true":
        return f"Generation {tags['generation']}: equals version {tags['parent_version']}, no data to learn from."
    return f"Generation {tags['generation']}: version {tags['parent_version']} tuned on {tags['examples']} examples."


def _readme(name: str, tags: dict[str, str]) -> str:
    rows = "".join(f"| {key} | {value} |\n" for key, value in tags.items())
    text = f"# {name}\n\n{_summary(tags)}\n\n"
    if tags["adapter_sha256"] != NO_ADAPTER:
        text += f"Load: `peft.PeftModel.from_pretrained(base, folder)`, base being `{tags['base_model']}`.\n\n"
    return f"{text}| tag | value |\n|---|---|\n{rows}"
