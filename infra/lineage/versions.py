"""Registers a version of an agent or a society, or finds it again, so that none is registered twice.

A version stands on an MLflow LoggedModel, which holds its files and its metrics. It is looked for by tags that say what
it is; the files come first, the version last, so a version that exists is complete.
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
"""In the tag parent_version: the parent is the untuned base."""


def find_model(name: str) -> "RegisteredModel | None":
    """The registered model with its tags and aliases, if there is one."""
    return find(client().get_registered_model, name)


def find_version(name: str, key: Mapping[str, str]) -> "ModelVersion | None":
    """The first version of the model with these tags, if there is one."""
    versions = client().search_model_versions(_having(name, key), max_results=1, order_by=["version_number ASC"])
    return versions[0] if versions else None


def model_id(version: "ModelVersion") -> str:
    """From its source, models:/MODEL_ID: a server with a SQL store answers None for the version's own `model_id`."""
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
    """The id of the complete LoggedModel of a registration, with the files that `upload` puts under its id.

    One left by a killed registration is continued: as long as it is not READY, its files may be missing.

    Args:
        job: The model lies in its experiment.
        name: Of the LoggedModel.
        run: The run that made it.
        key: The tags by which it is looked for.
        tags: All its tags, those of the key among them.
        kind: Its model_type.
        upload: Called with the model's id; perhaps a second time, after a kill.
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
    """Draw the edges of the graph: data sets and the parent's LoggedModel go into the run, the model comes out of it.

    Args:
        run: As it was before; what it has already is not drawn again.
        model: Id of the LoggedModel.
        parent: Id of the LoggedModel it was made from; None for the base.
        datasets: What it learned from.
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
    """Make a registered model that versions can be put under, if it is not there."""
    from mlflow.exceptions import MlflowException

    try:
        client().create_registered_model(name, tags=tags, description=about)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def create_version(name: str, run: "Run", model: str, tags: dict[str, str], description: str) -> "ModelVersion":
    """Put a new version under a registered model.

    Args:
        name: Of the registered model.
        run: The run it comes out of.
        model: Id of its LoggedModel.
        tags: Of the version.
        description: Of the version, markdown.
    """
    return client().create_model_version(
        name,
        source=f"models:/{model}",
        run_id=run.info.run_id,
        tags=tags,
        description=description,
        await_creation_for=0,  # it is ready when the call returns; waiting would only ask again
        model_id=model,
    )


def _having(name: str, key: Mapping[str, str]) -> str:
    return " AND ".join([f"name = '{name}'", *(f"tags.`{k}` = '{v}'" for k, v in key.items())])
