"""Pruning a real home with real servers: data of registered generations and unfinished runs stay, the rest goes."""

import os
import signal
import time
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient

from agents.bucket import WRITING, Bucket
from infra.errors import UserError
from infra.home.home import Home
from infra.home.store import store_of
from infra.operation.prune import GRACE_SECONDS, carry_out, plan
from tests.conftest import Maft, free_port
from tests.faults.test_resume import job, numbers
from tests.moto_server import s3_server


@pytest.fixture(autouse=True)
def servers(maft: Maft, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, maft.environment[name])


def aged(path: Path) -> Home:
    """The home with all files made older than the grace period."""
    for file in path.rglob("*"):
        then = file.lstat().st_mtime - GRACE_SECONDS - 3600
        os.utime(file, (then, then), follow_symlinks=False)
    return Home.open(path)


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"1234567")
    return path


def stored(home: Path, room: str) -> set[str]:
    return {path.name for path in (home / room).iterdir()}


def registered(maft: Maft) -> list[tuple[str, str]]:
    """The registered versions of the job's society and of its agents."""
    found = MlflowClient(maft.environment["MLFLOW_TRACKING_URI"]).search_model_versions("name LIKE 'pruned%'")
    return sorted((version.name, version.version) for version in found)


def kill_when_heard(maft: Maft, arguments: list[str], step: str) -> None:
    """Kill a job when the Prefect server knows that this step is done; task runs are sent to it in batches."""
    wanted = {
        "task_runs": {"name": {"any_": [step]}, "state": {"type": {"any_": ["COMPLETED"]}}},
        "flow_runs": {"name": {"like_": "pruned · "}},
    }
    process = maft.start(*arguments)
    while not httpx.post(f"{maft.environment['PREFECT_API_URL']}/task_runs/filter", json=wanted, timeout=60).json():
        assert process.poll() is None, f"the run ended before {step!r} was heard of"
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_job_cut_off_resumes_and_a_finished_one_can_be_run_again(
    maft: Maft, brief: list[str], tmp_path: Path
) -> None:
    # No other test uses this seed: killed runs of other tests on the same server would keep results of equal content.
    own = [*job(brief, "pruned", tmp_path, epochs=20), "--set", "seed=77"]
    kill_when_heard(maft, own, "iteration 1 · debate · round 2")
    killed = stored(tmp_path, "results")
    planned = plan(aged(tmp_path))
    assert any("(Running)" in run for run in planned.unfinished)
    carry_out(planned)
    assert len(stored(tmp_path, "results")) >= len(killed) - 1, "all but one that was not reported"
    resumed = maft.json(*own)
    assert resumed["cached"] >= len(killed) - 1 >= 4

    before = {item.path for item in plan(Home.open(tmp_path)).garbage}
    made = [path for path in tmp_path.rglob("*") if path.lstat().st_mtime > time.time() - GRACE_SECONDS]
    assert not before & {path.relative_to(tmp_path).as_posix() for path in made}, "nothing younger than a day goes"
    adapters, results = stored(tmp_path, "artifacts/folders"), stored(tmp_path, "results")
    planned = plan(aged(tmp_path))
    assert not any(run.startswith("pruned · ") for run in planned.unfinished), "another flow run has done the job"
    versions = registered(maft)
    assert planned.versions >= len(versions) >= 4
    assert {item.kind for item in planned.garbage} == {"result", "frame"}
    deleted = carry_out(planned)
    assert deleted == planned.garbage
    assert planned.bytes > 10_000
    assert stored(tmp_path, "artifacts/folders") == adapters
    kept = stored(tmp_path, "results")
    assert kept <= killed < results
    again = maft.json(*own)
    assert numbers(again) == numbers(resumed)
    assert again["cached"] <= len(kept), "most was computed again"
    assert stored(tmp_path, "artifacts/folders") == adapters
    assert registered(maft) == versions, "nothing was registered twice"


def test_what_nothing_refers_to_goes_unless_it_is_young_or_a_base_model(tmp_path: Path) -> None:
    for number in range(4):
        put(tmp_path / "results" / (f"{number}" * 64))
        put(tmp_path / "artifacts" / "frames" / (f"{number}" * 64 + ".parquet"))
        put(tmp_path / "artifacts" / "folders" / (f"{number}" * 64) / "inner" / "adapter_model.safetensors")
        put(tmp_path / "artifacts" / f"{WRITING}{number}" / "new.parquet")
    base = put(tmp_path / "artifacts" / "folders" / ("a" * 64) / "config.json")
    others = [put(tmp_path / place) for place in ("results/notes.txt", "artifacts/frames/b.parquet", "artifacts/x/y")]
    home = aged(tmp_path)
    for path in [*tmp_path.glob("*/0*"), *tmp_path.glob("*/*/0*"), *tmp_path.glob(f"artifacts/{WRITING}0")]:
        os.utime(path)
    planned = plan(home)
    assert [item.kind for item in planned.garbage] == [
        k for k in ("result", "frame", "folder", "leftover") for _ in "123"
    ]
    assert (planned.bytes, planned.kept) == (12 * 7, 4)
    needed_since = tmp_path / "results" / ("3" * 64)
    os.utime(needed_since)
    assert len(carry_out(planned)) == 11
    left = sorted(
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and path.relative_to(tmp_path).parts[0] in ("results", "artifacts")
    )
    assert set(others) | {base, needed_since} < set(left)
    assert len(left) == len(others) + 2 + 4
    assert carry_out(planned) == []


def test_no_link_is_followed(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    file = put(outside / ("1" * 64))
    folder = put(outside / ("2" * 64) / "weights").parent
    (home / "results").mkdir(parents=True)
    (home / "artifacts" / "folders").mkdir(parents=True)
    (home / "results" / file.name).symlink_to(file)
    (home / "artifacts" / "folders" / folder.name).symlink_to(folder)
    put(home / "artifacts" / "folders" / ("3" * 64) / "weights")
    (home / "artifacts" / "folders" / ("3" * 64) / "link").symlink_to(folder)
    planned = plan(aged(home))
    assert [(item.path, item.bytes > 1000) for item in planned.garbage] == [(f"artifacts/folders/{'3' * 64}", False)]
    carry_out(planned)
    assert sorted(path.name for path in outside.rglob("*") if path.is_file()) == [file.name, "weights"]
    assert len(stored(home, "results")) == 1

    (home / "artifacts" / "frames").symlink_to(outside)
    with pytest.raises(UserError, match="frames is a link"):
        plan(Home.open(home))


def test_a_server_that_is_away_deletes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "results" / ("1" * 64))
    home = aged(tmp_path)
    planned = plan(home)
    assert len(planned.garbage) == 1
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(httpx.ConnectError):
        carry_out(planned)
    assert len(stored(tmp_path, "results")) == 1


@pytest.mark.parametrize("kind", ["s3", "file"])
def test_garbage_in_a_bucket_goes_too(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can make an object of a bucket older, so here all are old but the young ones."""
    young = set[str]()
    modified = Bucket.modified
    monkeypatch.setattr(Bucket, "modified", lambda self, key: modified(self, key) if key in young else 1e9)
    with s3_server(free_port()) if kind == "s3" else nullcontext() as s3:
        for name, value in (s3.environment if s3 else {}).items():
            monkeypatch.setenv(name, value)
        url = f"s3://{s3.bucket}/x" if s3 else f"file://{tmp_path}/x"
        monkeypatch.setenv("MAFT_STORE", url)
        home, bucket = Home.open(tmp_path / "home"), Bucket(url)
        store = store_of(home)
        adapter = store.put_folder(lambda folder: put(folder / "weights") and None, 1)
        base = store.put_folder(lambda folder: put(folder / "config.json") and None, 1)
        keys = [f"results/{'1' * 64}", f"artifacts/frames/{'2' * 64}.parquet", f"artifacts/{adapter.path}.tar"]
        others = [f"artifacts/{base.path}.tar", "maft.txt", "results/notes", "elsewhere/" + "3" * 64]
        for key in [*keys[:2], *others[1:]]:
            bucket.write(key, b"1234567")
        if kind == "file":
            put(tmp_path / "x" / "artifacts" / "frames" / f"{WRITING}1")
            keys.append(f"artifacts/frames/{WRITING}1")
        aged(home.path)
        planned = plan(home)
        places = {f"{url}/{key}" for key in keys} | {f"artifacts/{adapter.path}"}
        assert {item.path for item in planned.garbage} == places
        assert all(item.bytes >= 7 for item in planned.garbage)
        assert [item.kind for item in planned.garbage][:3] == ["result", "frame", "folder"]
        assert carry_out(planned) == planned.garbage and plan(home).garbage == []
        left = {key for room in ("results", "artifacts", "elsewhere") for key in bucket.objects(room)}
        assert left | {"maft.txt"} == set(others)
        assert [path.name for path in store.folders.iterdir()] == [base.sha256]
        bucket.write(keys[0], b"1234567")
        young.add(keys[0])
        assert plan(home).garbage == [], "nothing younger than a day goes"
