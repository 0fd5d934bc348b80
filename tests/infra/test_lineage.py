"""Runs of a job on a real MLflow server: they nest, are found again, and contents logged twice are stored once."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

from infra.errors import UserError
from infra.lineage.client import client
from infra.lineage.contents import flattened, log_artifacts, log_datasets, log_transcripts
from infra.lineage.records import DatasetRef, identity
from infra.lineage.runs import (
    close_job,
    open_agent,
    open_generation,
    open_job,
    run_url,
)
from tests.infra.lineage_samples import CONFIG, EVALUATION, a_job, there


def test_a_job_opened_again_is_the_same_run(tracking: str) -> None:
    first = open_job("opened", "digest-1", "opened seed 1", CONFIG, {"prefect.flow_run_id": "f-1"})
    close_job(first, "FAILED")
    again = open_job(
        "opened", "digest-1", "opened seed 1", {**CONFIG, "limit": 5, "late": 1}, {"prefect.flow_run_id": "f-2"}
    )
    other = open_job("opened", "digest-2", "opened seed 2", CONFIG, {})
    assert again == first
    assert other.experiment_id == first.experiment_id
    assert other.run_id != first.run_id
    run = client().get_run(first.run_id)
    assert (run.info.status, run.info.run_name) == ("RUNNING", "opened seed 1")
    assert run.data.tags["prefect.flow_run_id"] == "f-2"
    assert run.data.params == {
        "base_model": "embedded",
        "agents": "3",
        "problems.kind": "arithmetic",
        "problems.seeds": "[1, 2]",
        "limit": "null",
        "late": "1",
    }
    assert client().get_experiment(first.experiment_id).name == "maft/opened"
    assert (
        run_url(first)
        == f"{tracking}/#/experiments/{first.experiment_id}/runs/{first.run_id}?workflowType=machine_learning"
    )


def test_a_long_param_is_cut_and_still_tells_two_values_apart() -> None:
    one, other = (flattened({"prompts": {"examples": [{"question": "1" * 7000 + end}]}}) for end in "ab")
    (value,) = one.values()
    assert len(value) == MAX_PARAM_VAL_LENGTH and value.startswith('[{"question": "111') and "config.json" in value
    assert "7019 characters" in value and one != other
    whole = "x" * MAX_PARAM_VAL_LENGTH
    assert flattened({"prompts": {"solve": whole}}) == {"prompts.solve": whole}


def test_flattened_keeps_empty_groups() -> None:
    assert flattened({"a": {}, "b": {"c": {"d": True}}}) == {"a": "{}", "b.c.d": "true"}


def test_runs_nest_and_end_with_their_job(tracking: str) -> None:
    job = a_job("nested")
    generation = open_generation(job, 2)
    agent = open_agent(job, 2, "critic-0")
    assert (open_generation(job, 2), open_agent(job, 2, "critic-0")) == (generation, agent)
    runs = {run.info.run_id: run for run in client().search_runs([job.experiment_id])}
    assert len(runs) == 3
    assert runs[generation].info.run_name == "nested · generation 2"
    assert runs[generation].data.tags["mlflow.parentRunId"] == job.run_id
    assert runs[agent].data.tags["mlflow.parentRunId"] == generation
    close_job(job, "FAILED")
    assert {run.info.status for run in client().search_runs([job.experiment_id])} == {"FAILED"}
    open_agent(a_job("nested"), 2, "critic-0")
    assert {run.info.status for run in client().search_runs([job.experiment_id])} == {"RUNNING"}


def test_a_deleted_experiment_is_the_users_to_restore(tracking: str) -> None:
    client().delete_experiment(a_job("deleted").experiment_id)
    with pytest.raises(UserError, match="mlflow experiments restore --experiment-id"):
        a_job("deleted")


def test_datasets_are_recorded_once(tracking: str) -> None:
    job = a_job("data")
    train = DatasetRef(name="train", sha256="a" * 64, rows=500, source="arithmetic")
    log_datasets(job.run_id, [train, EVALUATION])
    log_datasets(job.run_id, [train, EVALUATION])
    run = client().get_run(job.run_id)
    recorded = {data.dataset.name: data for data in there(run.inputs).dataset_inputs}
    assert len(there(run.inputs).dataset_inputs) == 2
    assert recorded["train"].dataset.digest == "a" * 36
    assert json.loads(there(recorded["train"].dataset.profile)) == {"num_rows": 500}
    columns = json.loads(there(recorded["train"].dataset.schema))["mlflow_colspec"]
    assert [column["name"] for column in columns] == ["id", "question", "answer"]
    tags = {tag.key: tag.value for tag in recorded["evaluation"].tags}
    assert tags == {"mlflow.data.context": "evaluation", "sha256": "e" * 64}


def test_tables_and_files_are_replaced(tracking: str, tmp_path: Path) -> None:
    job = a_job("files")
    picture = tmp_path / "accuracy.png"
    picture.write_bytes(b"png")
    frame = pd.DataFrame({"problem": [f"p{i // 2}" for i in range(300)], "text": "3 + 4 = 7"})
    for _ in range(2):
        log_artifacts(job.run_id, [picture], "pictures")
        log_transcripts(job.run_id, frame, by="problem")
    table = client().load_table(job.experiment_id, "transcripts.json", run_ids=[job.run_id])
    pd.testing.assert_frame_equal(table, frame.head(100))
    assert [file.path for file in client().list_artifacts(job.run_id, "pictures")] == ["pictures/accuracy.png"]
    with pytest.raises(FileNotFoundError, match="gone"):
        log_artifacts(job.run_id, [picture, tmp_path / "gone"], "pictures")


def test_an_identity_is_the_digest_of_its_parts_whatever_the_order_of_their_keys() -> None:
    text = '[{"a": [1, 2], "b": null}, "s"]'
    assert identity({"b": None, "a": [1, 2]}, "s") == hashlib.sha256(text.encode()).hexdigest()[:16]
