"""Registers a version of an agent or a society, or finds it again, so that none is registered twice.

A version belongs to an MLflow LoggedModel, which holds its files and its metrics. It is found by tags that identify
it. The files are uploaded first and the version is created last, so a version that exists is complete.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from infra.lineage.client import client, find
from infra.lineage.contents import log_datasets
from infra.lineage.records import DatasetRef, JobRun

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

BASE = "base"
"""The value of the tag parent_version that stands for the untuned base."""


def find_model(name: str) -> "RegisteredModel | None":
    """The registered model with its tags and aliases; None if there is none."""
    return find(client().get_registered_model, name)


def find_version(name: str, key: Mapping[str, str]) -> "ModelVersion | None":
    """The first version of the model with these tags; None if there is none."""
    versions = client().search_model_versions(_having(name, key), max_results=1, order_by=["version_number ASC"])
    return versions[0] if versions else None


def model_id(version: "ModelVersion") -> str:
    """The id in the version's source, models:/MODEL_ID; a server with a SQL store returns None as its `model_id`."""
    return str(version.source).removeprefix("models:/")


def open_model(
    job: JobRun,
    name: str,
    run: "Run",
    key: Mapping[str, str],
    tags: dict[str, str],
    kind: str,
    upload: Callable[[str], None],
) -> str:
    """Create a LoggedModel and upload its files, or find it; return its id.

    If a killed registration left a LoggedModel that is not READY, its files may be missing and are uploaded again.

    Args:
        job: The job; the model belongs to its experiment.
        name: Name of the LoggedModel.
        run: The run that made the model.
        key: The tags by which the model is found.
        tags: All tags of the model, including those of `key`.
        kind: The model_type of the model.
        upload: Called with the model's id to upload its files; called again after a kill.
    """
    mlflow = client()
    found = mlflow.search_logged_models([job.experiment_id], _having(name, key), max_results=1)
    model: LoggedModel = (
        found[0]
        if found
        else mlflow.create_logged_model(
            job.experiment_id, name, source_run_id=run.info.run_id, tags=tags, model_type=kind
        )
    )
    if str(model.status) != "READY":
        upload(model.model_id)
        mlflow.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def link(run: "Run", model: str, parent: str | None, datasets: Sequence[DatasetRef] = ()) -> None:
    """Record the data sets and the parent's LoggedModel as inputs of the run, and the model as its output.

    Args:
        run: The run, read before this call; models that are recorded already are not recorded again.
        model: Id of the LoggedModel.
        parent: Id of the LoggedModel that it was made from; None for the base.
        datasets: The data sets that it learned from.
    """
    from mlflow.entities import LoggedModelOutput

    inputs = [known.model_id for known in run.inputs.model_inputs] if run.inputs else []
    outputs = [known.model_id for known in run.outputs.model_outputs] if run.outputs else []
    new = [parent] if parent and parent not in inputs else []
    if new or datasets:
        log_datasets(run.info.run_id, datasets, new)
    if model not in outputs:
        client().log_outputs(run.info.run_id, [LoggedModelOutput(model, step=0)])


def create_model(name: str, about: str, tags: dict[str, str]) -> None:
    """Create a registered model, if it does not exist."""
    from mlflow.exceptions import MlflowException

    try:
        client().create_registered_model(name, tags=tags, description=about)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def create_version(name: str, run: "Run", model: str, tags: dict[str, str], description: str) -> "ModelVersion":
    """Create a new version of a registered model.

    Args:
        name: Name of the registered model.
        run: The run that made the version.
        model: Id of the version's LoggedModel.
        tags: Tags of the version.
        description: Description of the version, markdown.
    """
    return client().create_model_version(
        name,
        source=f"models:/{model}",
        run_id=run.info.run_id,
        tags=tags,
        description=description,
        await_creation_for=0,  # The version is ready when the call returns; waiting would only send more requests.
        model_id=model,
    )


def _having(name: str, key: Mapping[str, str]) -> str:
    return " AND ".join([f"name = '{name}'", *(f"tags.`{k}` = '{v}'" for k, v in key.items())])
