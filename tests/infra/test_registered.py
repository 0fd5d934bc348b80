"""Adapters in the registry of a real MLflow server: each has one version, and PEFT loads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.hosted.adapter import WEIGHTS, HostedAdapter, read_hosted
from agents.society import Agent
from agents.store import Store
from agents.training.learner import write_files
from infra.lineage.agents import fetch_adapter, register_adapter
from infra.lineage.client import client
from tests.infra.lineage_samples import a_job, registered, there, weights_sha256


def test_an_adapter_is_registered_once_and_loads_with_plain_peft(
    tracking: str, tiny_adapter: Path, tiny_base: Callable[[], Any], tmp_path: Path
) -> None:
    import mlflow
    import torch
    from peft import PeftModel

    job = a_job("peft")
    agent = Agent(role="generator", index=0)
    first = registered(job, 1, agent, tiny_adapter)
    second = registered(job, 2, agent, tiny_adapter, parent=first)
    assert registered(job, 1, agent, tiny_adapter) == first
    assert (first.name, first.version, second.version) == ("peft-generator-0", "1", "2")

    versions = client().search_model_versions("name = 'peft-generator-0'")
    assert len(versions) == 2
    tags = client().get_model_version("peft-generator-0", "2").tags
    assert (tags["generation"], tags["role"], tags["index"], tags["job"]) == ("2", "generator", "0", "job-a")
    assert (tags["parent_version"], tags["base_model"], tags["unchanged"]) == ("1", "embedded", "false")
    assert (tags["adapter_sha256"], tags["examples"]) == (weights_sha256(tiny_adapter), "7")
    page = client().get_model_version("peft-generator-0", "2").description
    at, among = f"#/experiments/{job.experiment_id}", "?workflowType=machine_learning"
    assert page.startswith(
        "Generation 2: version 1 tuned on 7 examples.\n\n- parent: [version 1](#/models/peft-generator-0/versions/1)\n"
    )
    assert f"- data: 7 examples, SHA-256 `{tags['dataset_sha256']}`\n" in page
    assert f"SHA-256 `{weights_sha256(tiny_adapter)}`\n" in page
    assert page.endswith(
        f"- run: [{second.run_id}]({at}/runs/{second.run_id}{among})\n"
        f"- logged model: [{second.model_id}]({at}/models/{second.model_id}{among})"
    )
    assert "(#/models/peft)" in client().get_registered_model("peft-generator-0").description
    run = client().get_run(second.run_id)
    assert run.info.status == "FINISHED"
    assert [model.model_id for model in there(run.inputs).model_inputs] == [first.model_id]
    assert [model.model_id for model in there(run.outputs).model_outputs] == [second.model_id]
    assert [data.dataset.name for data in there(run.inputs).dataset_inputs] == ["generator-0"]

    folder = mlflow.artifacts.download_artifacts(f"models:/{second.name}/{second.version}", dst_path=str(tmp_path))
    loaded = PeftModel.from_pretrained(tiny_base(), folder).state_dict()
    saved = PeftModel.from_pretrained(tiny_base(), tiny_adapter).state_dict()
    assert "peft.PeftModel.from_pretrained" in Path(folder, "README.md").read_text()
    assert any("lora_B" in key and value.abs().sum() > 0 for key, value in saved.items())
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[key], saved[key]) for key in saved)


def test_an_agent_without_an_adapter_is_a_version_that_says_so(
    tracking: str, tiny_adapter: Path, tmp_path: Path
) -> None:
    import mlflow

    job = a_job("missing")
    agent = Agent(role="critic", index=1)
    first = registered(job, 1, agent, None)
    assert registered(job, 1, agent, None) == first
    assert client().get_model_version(first.name, first.version).tags["adapter_sha256"] == "none"
    folder = mlflow.artifacts.download_artifacts(f"models:/{first.name}/1", dst_path=str(tmp_path))
    assert [path.name for path in Path(folder).iterdir()] == ["README.md"]
    assert "equals the base model embedded" in Path(folder, "README.md").read_text()
    assert registered(job, 2, agent, tiny_adapter, parent=first).version == "2"


def test_an_unchanged_agent_is_a_version_of_every_generation_and_job(tracking: str, tiny_adapter: Path) -> None:
    agent = Agent(role="generator", index=0)
    versions = []
    for job in (a_job("twice", "job-a"), a_job("twice", "job-b")):
        first = registered(job, 1, agent, tiny_adapter)
        versions += [first, registered(job, 2, agent, tiny_adapter, parent=first, unchanged=True)]
    assert [version.version for version in versions] == ["1", "2", "3", "4"]
    found = [client().get_model_version("twice-generator-0", version.version) for version in versions]
    assert [version.tags["unchanged"] for version in found] == ["false", "true", "false", "true"]
    assert [version.tags["parent_version"] for version in found] == ["base", "1", "base", "3"]
    assert found[3].description.startswith("Generation 2: equals version 3, no data to learn from.\n\n")


def test_an_incomplete_adapter_folder_leaves_nothing(tracking: str, tmp_path: Path) -> None:
    job = a_job("incomplete")
    (tmp_path / WEIGHTS).touch()
    with pytest.raises(FileNotFoundError, match=r"adapter_config\.json is missing"):
        registered(job, 1, Agent(role="critic", index=0), tmp_path)
    with pytest.raises(ValueError, match="must both be given"):
        register_adapter(
            job,
            1,
            Agent(role="critic", index=0),
            adapter_folder=tmp_path,
            adapter_sha256=None,
            parent_version=None,
            dataset_sha256="0",
            base_model="embedded",
            examples=0,
            unchanged=True,
        )
    assert client().search_logged_models([job.experiment_id]) == []


def test_an_adapter_that_a_service_keeps_is_registered_and_fetched(tracking: str, tmp_path: Path) -> None:
    hosted = HostedAdapter(
        service="openai",
        url="http://127.0.0.1:9/v1",
        base="gpt",
        speaks_as="ft:gpt:us::1",
        goes_on_from="ft:gpt:us::1",
        made_by="ftjob-1",
        learned="0" * 64,
        settings={"n_epochs": 2},
    )
    store = Store(tmp_path / "here")
    sha256 = store.put_folder(lambda folder: write_files(hosted.files(), folder), 12).sha256
    job, agent = a_job("kept"), Agent(role="critic", index=0)
    version = register_adapter(
        job,
        1,
        agent,
        adapter_folder=store.folder(sha256),
        adapter_sha256=sha256,
        parent_version=None,
        dataset_sha256="0",
        base_model="embedded",
        examples=12,
        unchanged=False,
    )
    tags = client().get_model_version(version.name, version.version).tags
    assert (tags["service"], tags["service_base"]) == ("openai", "gpt")
    assert (tags["speaks_as"], tags["made_by"]) == ("ft:gpt:us::1", "ftjob-1")
    there = Store(tmp_path / "there")
    fetch_adapter(there, version.name, version.version, sha256)
    assert read_hosted(there.folder(sha256)) == hosted
