"""A society of three base models, one of them with other tokens, in all commands.

Run: pytest tests/flows/test_mixed_bases.py
"""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from safetensors.torch import load_file

from agents.debate.settings import DebateSettings
from agents.engines import base_model
from agents.engines.protocol import Sampling
from agents.engines.transformers.engine import TransformersEngine
from agents.engines.transformers.mixed import MixedEngine
from agents.seeding import derive_seed
from agents.training.examples import encode
from agents.training.methods.sft import Sft
from infra.cli.asking import ask_society
from infra.lineage.societies import SocietyVersion, find_society
from tests.agents import other_bases
from tests.agents.one_by_one import off_but_flips, train
from tests.agents.rounds import answer
from tests.conftest import SMALL, Maft

QUESTION = "What is the result of 12+7*3+10-5*2?"
SOCIETY = "mixed"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def names(brief_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("bases")
    others = other_bases.perturbed(folder / "a", brief_folder), other_bases.renumbered(folder / "b", brief_folder)
    return [str(base) for base in (brief_folder, *others)]


@pytest.fixture(scope="module")
def small(brief_problems: Path) -> list[str]:
    return [*SMALL, "--set", f"problems.train={brief_problems}"]


def job(small: list[str], names: list[str], home: Path, *settings: str) -> list[str]:
    given = [
        f"society={SOCIETY}",
        "agents=3",
        "iterations=1",
        "finetune.min_votes=1",
        f"base_models={json.dumps(names)}",
    ]
    return [*small, *(part for each in (*given, *settings) for part in ("--set", each)), "--home", str(home)]


@pytest.fixture(scope="module")
def report(maft: Maft, home: Path, small: list[str], names: list[str]) -> dict:
    return maft.json("run", *job(small, names, home))


@pytest.fixture
def client(maft: Maft, report: dict, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", maft.environment["MLFLOW_TRACKING_URI"])
    return MlflowClient()


def registered(version: str) -> SocietyVersion:
    found = find_society(SOCIETY, version)
    assert found is not None
    return found


def test_every_agent_is_registered_with_its_own_base(client: MlflowClient, names: list[str], tmp_path: Path) -> None:
    found = registered("1")
    assert [base.name for base in found.bases.each] == names
    assert [base.sha256 for base in found.bases.each] == [base_model.digest(name) for name in names]
    page = client.get_model_version(SOCIETY, "1").description
    assert all(base_model.digest(name) in page for name in names)
    for agent in found.society.agents:
        version = client.get_model_version(f"{SOCIETY}-{agent.name}", found.agent_versions[agent.name])
        assert version.tags["base_model"] == names[agent.index]
        if agent.adapter:
            uri = f"models:/{SOCIETY}-{agent.name}/{version.version}"
            folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path / agent.name)))
            config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
            assert config["base_model_name_or_path"] == names[agent.index]


def test_every_agent_learns_over_its_own_base_as_if_alone(
    client: MlflowClient, report: dict, home: Path, names: list[str]
) -> None:
    found, learned = registered("1"), 0
    for agent in found.society.agents:
        if agent.adapter is None:
            continue
        tags = client.get_model_version(f"{SOCIETY}-{agent.name}", found.agent_versions[agent.name]).tags
        frame = pd.read_parquet(home / "artifacts" / "frames" / f"{tags['dataset_sha256']}.parquet")
        model, tokenizer = base_model.load(names[agent.index], "cpu")
        settings = Sft(**report["config"]["finetune"])
        encoded = encode([json.loads(text) for text in frame["messages"]], tokenizer)
        expected = train(model, encoded, settings, derive_seed(1, "finetune", 1, agent.name))
        own = load_file(home / "artifacts" / "folders" / agent.adapter / "adapter_model.safetensors")
        assert off_but_flips(own, expected) <= 1e-3
        learned += 1
    assert learned >= 4, "fewer learned adapters would show too little"


def test_it_is_asked_with_all_its_bases(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, home: Path, names: list[str]
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    said = ask_society(SOCIETY, "1", QUESTION, 7)
    bases, adapters = base_model.identify_bases(names, False), home / "artifacts" / "folders"
    engines = {b: TransformersEngine(*base_model.load(b.name, "cpu"), adapters=adapters) for b in bases.each}
    own: Any = MixedEngine(bases, engines)
    (expected,) = answer(own, registered("1").society, [QUESTION], DebateSettings(), Sampling(), 7)
    assert {name: said[name] for name in type(expected).model_fields} == expected.model_dump(mode="json")


def test_a_finished_job_computes_nothing(
    maft: Maft, report: dict, home: Path, small: list[str], names: list[str]
) -> None:
    again = maft.json("run", *job(small, names, home))
    assert again["generations"] == report["generations"] and again["mlflow"] == report["mlflow"]
    assert report["cached"] == 0 and again["cached"] > 15


def test_it_goes_on_and_is_promoted_and_rolled_back(
    maft: Maft, client: MlflowClient, report: dict, home: Path, small: list[str], names: list[str]
) -> None:
    refused = maft("run", *job(small, [*names[1:], names[0]], home, "start_from=1"), status=2)
    assert "base_models is" in refused.stderr and "version 1 of society 'mixed'" in refused.stderr
    refused = maft("run", *SMALL, "--set", "agents=3", "--set", "society=mixed", "--set", "start_from=1", status=2)
    assert f"set base_models to {names}" in refused.stderr.replace("\n", " ")
    assert maft.json("promote", SOCIETY, "--version", "1", "--home", str(home))["target"] == "1"
    second = maft.json("run", *job(small, names, home, "start_from=champion"))
    assert [g["generation"] for g in second["generations"]] == [1, 2]
    assert registered("2").bases == registered("1").bases
    maft("promote", SOCIETY, "--version", "2", "--home", str(home))
    assert maft.json("rollback", SOCIETY, "--home", str(home))["target"] == "1"
    assert registered("champion").version == "1"


@pytest.mark.parametrize("generation", ["base", "1"])
def test_a_generation_is_measured(maft: Maft, report: dict, home: Path, generation: str) -> None:
    given = ["--generation", generation, "--set", "size=4", "--home", str(home)]
    scores = maft.json("evaluate", SOCIETY, *given)["scores"]
    assert scores["problems"] == 4 and len(scores["rounds"][0]["agents"]) == 3
    server = ["--set", "engine={name: openai, url: 'http://127.0.0.1:9/v1'}"]
    refused = maft("evaluate", SOCIETY, *given, *server, status=2)
    assert "base_models names 3 different ones, but engine.name is openai" in refused.stderr


def test_a_benchmark_has_a_row_for_them(maft: Maft, brief: list[str], tmp_path: Path, names: list[str]) -> None:
    methods = "methods=[multiagent-ft, mixed-bases]"
    given = [methods, "seeds=[1]", "iterations=1", "agents=3", f"base_models={json.dumps(names)}", "society=mixed-row"]
    settings = [part for each in given for part in ("--set", each)]
    report = maft.json("benchmark", *brief, *settings, "--home", str(tmp_path))
    rows = {(row["method"], row["iteration"]): row for row in report["rows"]}
    assert rows.keys() == {(name, i) for name in ("multiagent-ft", "mixed-bases") for i in (0, 1)}
    for iteration in (0, 1):
        # One of the three bases has other tokens, so measures per token are not computed.
        assert rows["mixed-bases", iteration]["nll"] is None and rows["mixed-bases", iteration]["kl"] is None
        assert rows["mixed-bases", iteration]["consensus"] and rows["multiagent-ft", iteration]["nll"]
    assert rows["mixed-bases", 1]["cost"]["trained_tokens"] > 0
    assert "different bases" in Path(report["report"]).read_text("utf-8")
    run = MlflowClient(maft.environment["MLFLOW_TRACKING_URI"]).get_run(report["mlflow"]["run_id"])
    assert run.data.tags["maft.base_models_sha256"].splitlines() == [base_model.digest(name) for name in names]
    assert run.data.tags["maft.base_model_sha256"] == base_model.digest(names[0])
