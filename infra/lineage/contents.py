"""Logs the contents of an MLflow run other than metrics: params, data sets, files and tables of debates.

Logging the same contents again changes nothing, so a job that was killed can log everything again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.config.tree import leaves
from infra.lineage.client import client
from infra.lineage.records import DatasetRef

if TYPE_CHECKING:
    import pandas as pd


MAX_PARAM_CHARS = 6000
"""Length of the longest value of a param in MLflow."""


def log_params(run_id: str, params: Mapping[str, Any]) -> None:
    """Log settings as params; existing params stay, since MLflow does not let a param change."""
    from mlflow.entities import Param

    mlflow = client()
    there = mlflow.get_run(run_id).data.params
    new = [Param(key, value) for key, value in flattened(params).items() if key not in there]
    mlflow.log_batch(run_id, params=new)


def log_datasets(run_id: str, datasets: Sequence[DatasetRef], models: Sequence[str] = ()) -> None:
    """Record the inputs of a run; a data set that is logged twice (the same name and digest) is recorded once.

    Args:
        run_id: Id of any run.
        datasets: The data sets that the run read.
        models: Ids of the logged models that the run started from; logged twice, they are recorded twice.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput

    inputs = [
        DatasetInput(
            Dataset(
                name=data.name,
                digest=data.digest,
                source_type="maft",
                source=json.dumps({"source": data.source, "sha256": data.sha256}),
                profile=json.dumps({"num_rows": data.rows}),
                schema=json.dumps({"mlflow_colspec": [{"name": name, "type": "string"} for name in data.columns]}),
            ),
            tags=[InputTag("mlflow.data.context", data.context), InputTag("sha256", data.sha256)],
        )
        for data in datasets
    ]
    client().log_inputs(run_id, inputs, [LoggedModelInput(model_id) for model_id in models])


def log_artifacts(run_id: str, files: Sequence[Path], folder: str) -> None:
    """Upload files into a folder of the run's artifacts; a file of the same name is replaced.

    Raises:
        FileNotFoundError: one of the files is missing; nothing was uploaded.
    """
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing, so it cannot be logged")
    mlflow = client()
    for file in files:
        mlflow.log_artifact(run_id, str(file), folder)


def log_text(run_id: str, text: str, file: str) -> None:
    """Write a text file to the run's artifacts; a file of the same name is replaced."""
    client().log_text(run_id, text, file)


def read_text(run_id: str, file: str) -> str:
    """Read a text file that `log_text` wrote."""
    from mlflow.artifacts import load_text

    return str(load_text(f"runs:/{run_id}/{file}"))


def log_transcripts(
    run_id: str, frame: "pd.DataFrame", by: str, debates: int = 50, file: str = "transcripts.json"
) -> None:
    """Log debates as a table that the MLflow UI shows and `mlflow.load_table` reads.

    MLflow's own `log_table` appends to an existing table, so a resumed job would show every debate twice; this function
    replaces the table.

    Args:
        run_id: Id of any run.
        frame: One row per turn, or per debate.
        by: The column that tells debates apart, such as the problem's id.
        debates: The largest number of debates to log; they are the first of the frame, with all their rows.
        file: Path of the table in the run's artifacts.
    Raises:
        KeyError: the frame has no column `by`.
    """
    kept = frame[frame[by].isin(frame[by].drop_duplicates().head(debates))]
    mlflow = client()
    mlflow.log_text(run_id, kept.to_json(orient="split", index=False, date_format="iso"), file)
    tables = json.loads(mlflow.get_run(run_id).data.tags.get("mlflow.loggedArtifacts", "[]"))
    table = {"path": file, "type": "table"}
    if table not in tables:
        mlflow.set_tag(run_id, "mlflow.loggedArtifacts", json.dumps([*tables, table]))


def flattened(settings: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as params: dotted keys, strings as they are, other values as JSON; long values are cut.

    MLflow would cut them too. Here a cut value ends with its digest, so that different values stay different.
    """
    plain = {key: value if isinstance(value, str) else json.dumps(value) for key, value in leaves(settings).items()}
    return {key: value if len(value) <= MAX_PARAM_CHARS else _cut(value) for key, value in plain.items()}


def _cut(value: str) -> str:
    digest = hashlib.sha256(value.encode()).hexdigest()[:12]
    end = f" ... ({len(value)} characters with SHA-256 {digest}; all of them are in the job's config.json)"
    return value[: MAX_PARAM_CHARS - len(end)] + end
