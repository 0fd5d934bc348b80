"""A job killed with kill -9 at any stage and run again ends with the same numbers as a job that was never killed."""

import os
import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient

from tests.conftest import Maft

STAGES = [
    "evaluate generation 0 · generate",
    "iteration 1 · generate",
    "iteration 1 · debate · round 2",
    "iteration 1 · finetune",
    "evaluate generation 1 · debate · round 2",
]
"""The job is killed as soon as one of these steps is done, while it votes, splits, registers or does the next step."""
LONG = "iteration 1 · finetune"
"""With LONG_EPOCHS this step lasts some seconds, so the job can also be killed in the middle of it."""
LONG_EPOCHS = 100
NUMBERS = ["accuracy", "standard_error", "rounds", "consensus", "pseudo_label_accuracy", "dataset_sizes"]
NUMBERS += ["sampled_tokens", "trained_tokens", "kept_labels", "unchanged"]


def job(small: list[str], society: str, home: Path, epochs: int = 1) -> list[str]:
    settings = ["--set", f"society={society}", "--set", "iterations=1", "--set", "finetune.min_votes=1"]
    return ["run", *small, *settings, "--set", f"finetune.epochs={epochs}", "--home", str(home)]


def numbers(report: dict) -> list[dict]:
    return [{name: generation[name] for name in NUMBERS} for generation in report["generations"]]


@pytest.fixture(scope="module")
def never_cut(maft: Maft, brief: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    home = tmp_path_factory.mktemp("never-cut")
    return maft.json(*job(brief, "never-cut", home)), home


def kill_after(maft: Maft, arguments: list[str], stage: str) -> None:
    process = maft.start(*arguments)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(stage):
            break
    else:
        pytest.fail(f"the run ended before {stage!r}")
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def kill_within(maft: Maft, society: str, arguments: list[str], stage: str) -> None:
    """Kill a job while this step runs, once the Prefect server knows that it runs."""
    api = maft.environment["PREFECT_API_URL"]

    def heard() -> dict[tuple[str, str], float]:
        # Other jobs run on the same server, so search only the runs of this society.
        own = {"name": {"like_": f"{society} · "}}
        asked = {"artifacts": {"type": {"any_": ["progress"]}}, "flow_runs": own}
        found = httpx.post(f"{api}/artifacts/filter", json=asked, timeout=30).raise_for_status().json()
        told = {(artifact["id"], artifact["description"] or ""): artifact["data"] for artifact in found}
        return {each: percent for each, percent in told.items() if each[1].startswith(stage)}

    before = heard()
    process = maft.start(*arguments)
    while not (new := heard().keys() - before.keys()):
        assert process.poll() is None, f"the run ended before {stage!r} was reported"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (percent,) = (heard()[each] for each in new)
    assert 0 < percent < 100


def adapters(client: MlflowClient, society: str) -> dict[str, str]:
    versions = client.search_model_versions(f"name LIKE '{society}-%'")
    return {v.name.removeprefix(society): v.tags["adapter_sha256"] for v in versions}


def test_killed_at_every_stage_the_job_ends_with_the_same_numbers(
    maft: Maft, brief: list[str], never_cut: tuple[dict, Path], tmp_path: Path
) -> None:
    whole = maft.json(*job(brief, "uncut", never_cut[1], LONG_EPOCHS))
    arguments = job(brief, "cut", tmp_path, LONG_EPOCHS)
    for stage in STAGES:
        if stage == LONG:
            kill_within(maft, "cut", arguments, stage)
        kill_after(maft, arguments, stage)
    report = maft.json(*arguments)
    assert numbers(report) == numbers(whole)
    assert report["cached"] >= 12
    client = MlflowClient(maft.environment["MLFLOW_TRACKING_URI"])
    versions = client.search_model_versions("name LIKE 'cut-%'")
    assert len(versions) == 4 and {v.tags["generation"] for v in versions} == {"1"}
    assert adapters(client, "cut") == adapters(client, "uncut")
    jobs = client.search_runs([report["mlflow"]["experiment_id"]], "tags.`maft.kind` = 'job'")
    assert len(jobs) == 1


@pytest.mark.parametrize("harm", ["deleted", "truncated", "record truncated"])
def test_harmed_results_are_computed_again(
    maft: Maft, brief: list[str], never_cut: tuple[dict, Path], tmp_path: Path, harm: str
) -> None:
    report, whole = never_cut
    home = tmp_path / "home"
    shutil.copytree(whole, home)
    room = home / "results" if harm.startswith("record") else home / "artifacts"
    files = sorted(path for path in room.rglob("*") if path.is_file())
    assert len(files) > 10
    for path in files[::3]:
        if harm == "deleted":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    again = maft.json(*job(brief, "never-cut", home))
    assert numbers(again) == numbers(report)
    assert 0 < again["cached"] < report["cached"] + 40


def test_interrupted_from_the_keyboard_it_says_how_to_go_on(
    maft: Maft, brief: list[str], never_cut: tuple[dict, Path], tmp_path: Path
) -> None:
    arguments = job(brief, "interrupted", tmp_path)
    # Tests in the background of a shell ignore this signal, and their child processes would inherit that.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = maft.cold.start(*arguments)
    signal.signal(signal.SIGINT, handler)
    assert process.stderr is not None
    assert any(line.startswith(STAGES[0]) for line in process.stderr)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130 and "Traceback" not in said, said
    assert said.splitlines()[-1] == "interrupted; the same command continues after the last step above"
    assert numbers(maft.json(*arguments)) == numbers(never_cut[0])
