"""A store with a bucket: what two homes share, what a kill leaves, what damage is noticed, and what the cache keeps."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from agents import store_bound
from agents.bucket import WRITING, Bucket, StoreError, pack, unpack
from agents.store import Artifact, Store, digest
from infra.errors import UserError
from infra.home.store import check_store
from tests.conftest import free_port
from tests.moto_server import PASSWORD, S3, s3_server

FRAME = pd.DataFrame({"id": ["a", "b"], "answer": ["1", None]})


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server(free_port()) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(params=["s3", "file", "memory"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    """An empty bucket of each kind."""
    if request.param == "s3":
        s3: S3 = request.getfixturevalue("s3")
        return Bucket(f"s3://{s3.bucket}/{tmp_path.name}")
    return Bucket(f"file://{tmp_path}/bucket" if request.param == "file" else f"memory://{tmp_path.name}")


def adapter(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "weights").write_bytes(bytes(range(256)) * 50)
    (folder / "adapter_config.json").write_text("{}")


def test_objects_are_written_read_listed_and_deleted(bucket: Bucket, tmp_path: Path) -> None:
    bucket.check()
    assert bucket.read("results/a") is None and bucket.modified("results/a") is None
    bucket.delete("results/a")
    assert bucket.objects("results") == {} and bucket.packed("results/a") == []
    for content in (b"123", b"4567"):
        bucket.write("results/a", content)
        assert bucket.read("results/a") == content
    bucket.write("results/b/c", b"")
    assert bucket.objects("results") == {"results/a": 4, "results/b/c": 0}
    assert abs((bucket.modified("results/a") or 0) - time.time()) < 60
    assert bucket.packed("results/a") == []
    assert bucket.fetch("results/a", tmp_path / "fetched") and not bucket.fetch("results/z", tmp_path / "none")
    assert (tmp_path / "fetched").read_bytes() == b"4567"
    bucket.delete("results/a")
    assert bucket.read("results/a") is None


def test_another_home_finds_what_one_has_stored(bucket: Bucket, tmp_path: Path) -> None:
    one, other = Store(tmp_path / "one", bucket), Store(tmp_path / "other", bucket)
    frame, folder = one.put_frame(FRAME), one.put_folder(adapter, 5)
    pd.testing.assert_frame_equal(other.frame(frame), FRAME)
    other.fetch([folder.sha256])
    assert digest(other.folders / folder.sha256) == folder.sha256
    third = Store(tmp_path / "third", bucket)
    assert third.whole(frame) and third.whole_folder(folder.sha256)
    assert digest(third.folder(folder.sha256)) == folder.sha256
    assert bucket.packed(f"artifacts/{folder.path}.tar") == ["adapter_config.json", "inner/weights"]
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(WRITING)]


@pytest.mark.parametrize("harm", ["truncate", "alter", "delete"])
def test_a_harmed_object_is_noticed_and_replaced(bucket: Bucket, tmp_path: Path, harm: str) -> None:
    one = Store(tmp_path / "one", bucket)
    artifacts = [one.put_frame(FRAME), one.put_folder(adapter, 5)]
    keys = [f"artifacts/{artifacts[0].path}", f"artifacts/{artifacts[1].path}.tar"]
    for key in keys:
        content = bucket.read(key)
        assert content
        if harm == "delete":
            bucket.delete(key)
        else:
            # The middle of a folder's object is in a file.
            bucket.write(key, content[: len(content) // 2] if harm == "truncate" else content.replace(b"\x05", b"\x06"))
    other = Store(tmp_path / "other", bucket)
    assert not any(other.whole(artifact) for artifact in artifacts)
    assert not any((other.root / artifact.path).exists() for artifact in artifacts)
    with pytest.raises(
        StoreError, match=rf"the store \w+://.* has no undamaged artifacts/folders/{artifacts[1].sha256}"
    ):
        other.folder(artifacts[1].sha256)
    with pytest.raises(StoreError, match="run the job again"):
        other.frame(artifacts[0])
    assert [other.put_frame(FRAME), other.put_folder(adapter, 5)] == artifacts
    assert all(Store(tmp_path / "third", bucket).whole(artifact) for artifact in artifacts)


def test_a_damaged_copy_is_fetched_again(bucket: Bucket, tmp_path: Path) -> None:
    store = Store(tmp_path / "one", bucket)
    frame, folder = store.put_frame(FRAME), store.put_folder(adapter, 5)
    (store.root / frame.path).write_bytes(b"half")
    (store.root / folder.path / "adapter_config.json").unlink()
    assert store.whole(frame) and store.whole(folder)
    assert digest(store.root / folder.path) == folder.sha256


def test_the_same_folder_gives_the_same_object(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir(mode=0o700 if name == "a" else 0o755)
        adapter(tmp_path / name)
        os.utime(tmp_path / name / "adapter_config.json", (len(name), 1))
        pack(tmp_path / name, tmp_path / f"{name}.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_an_object_cannot_write_elsewhere(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "bad.tar", "w") as bad:
        bad.addfile(tarfile.TarInfo("../outside"))
    assert not unpack(tmp_path / "bad.tar", tmp_path / "in")
    assert not (tmp_path / "outside").exists()


WRITER = """
import sys
from pathlib import Path
from agents.bucket import Bucket
from agents.store import Store

def write(folder):
    (folder / "weights").write_bytes(bytes(range(256)) * (int(sys.argv[3]) * 4096))

store = Store(Path(sys.argv[1]), Bucket(sys.argv[2]))
print("begin", flush=True)
for number in range(int(sys.argv[4])):
    print(store.put_folder(write, 1).sha256, flush=True)
"""


def writer(home: Path, url: str, *, megabytes: int, times: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(home), url, str(megabytes), str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kind", ["s3", "file"])
def test_a_kill_in_the_middle_of_an_upload_leaves_nothing_half(kind: str, s3: S3, tmp_path: Path) -> None:
    url = f"s3://{s3.bucket}/{tmp_path.name}" if kind == "s3" else f"file://{tmp_path}/bucket"
    process = writer(tmp_path / "one", url, megabytes=120, times=1)
    packed = None
    while not packed:  # The object is packed next to the stored folder, then sent.
        assert process.poll() is None, "the upload ended before the kill"
        packed = [
            path for path in (tmp_path / "one").glob(f"{WRITING}*/new.object") if path.stat().st_size > 120 * 2**20
        ]
        time.sleep(0.005)
    time.sleep(0.03)
    os.kill(process.pid, signal.SIGKILL)
    said, _ = process.communicate()
    assert said == "begin\n", "the upload was not over"
    bucket, other = Bucket(url), Store(tmp_path / "other", Bucket(url))
    (sha256,) = (path.name for path in (tmp_path / "one" / "folders").iterdir())
    left = bucket.objects("artifacts")
    assert all(Path(key).name.startswith(WRITING) for key in left), "no object has its name before it is whole"
    assert not other.whole_folder(sha256)


def test_two_writers_of_one_artifact_do_no_harm(s3: S3, tmp_path: Path) -> None:
    url = f"s3://{s3.bucket}/{tmp_path.name}"
    writers = [writer(tmp_path / f"home {number}", url, megabytes=2, times=15) for number in range(2)]
    seen, sha256, number = 0, "", 0
    while any(process.poll() is None for process in writers):
        for key in Bucket(url).objects("artifacts"):
            sha256 = Path(key).stem
            number += 1
            assert Store(tmp_path / f"reader {number}", Bucket(url)).whole_folder(sha256)
            seen += 1
    said = {line for process in writers for line in process.communicate()[0].splitlines()}
    assert [process.returncode for process in writers] == [0, 0]
    assert said == {"begin", sha256} and seen > 1


def test_the_cache_loses_what_was_used_longest_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, size = Bucket(f"memory://{tmp_path.name}"), 100_000
    store = Store(tmp_path / "home", bucket, most_bytes=3 * size)

    def put(number: int, name: str = "weights") -> Artifact:
        return store.put_folder(lambda folder: (folder / name).write_bytes(bytes([number]) * size) and None, 1)

    def age(artifact: Artifact, hours: float) -> None:
        then = time.time() - 3600 * hours
        os.utime(store.root / artifact.path, (then, then))

    base = put(0, "config.json")
    first, second = put(1), put(2)
    for artifact, hours in ((base, 9), (first, 5), (second, 7)):
        age(artifact, hours)
    put(3)
    assert len(list(store.folders.iterdir())) == 4, "all are in use by this process"
    monkeypatch.setattr(store_bound, "_used", set())
    put(4)
    there = {path.name for path in store.folders.iterdir()}
    assert base.sha256 in there and not {first.sha256, second.sha256} & there, "the oldest go, but no base model"
    assert digest(store.folder(first.sha256)) == first.sha256, "the bucket has them all"
    monkeypatch.setattr(store_bound, "_used", set())
    assert len(list(store.folders.iterdir())) == 4
    put(5)
    assert len(list(store.folders.iterdir())) == 5, "nothing that was used within the last hour"


class Flaky(MemoryFileSystem):
    """Memory that fails a number of times."""

    protocol = "flaky"
    failures = 0
    store: dict[str, Any] = {}  # noqa: RUF012

    def _fail(self) -> None:
        if Flaky.failures:
            Flaky.failures -= 1
            raise ConnectionResetError(f"reset by\nhttp://me:{PASSWORD}@host")

    def cat_file(self, *given: Any, **named: Any) -> Any:
        self._fail()
        return super().cat_file(*given, **named)

    def pipe_file(self, *given: Any, **named: Any) -> Any:
        self._fail()
        return super().pipe_file(*given, **named)


def test_what_fails_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    bucket = Bucket("flaky://bucket")
    Flaky.failures = 2
    bucket.write("a", b"1")
    assert Flaky.failures == 0 and bucket.read("a") == b"1"
    Flaky.failures = 1
    with pytest.raises(StoreError, match="written: ConnectionResetError: reset by http://host; check MAFT_STORE"):
        bucket.check()
    monkeypatch.setattr("agents.bucket.PATIENCE_SECONDS", 0.5)
    Flaky.failures = 1000
    with pytest.raises(StoreError, match="the store flaky://bucket cannot be read: ConnectionResetError"):
        bucket.read("a")
    assert Flaky.failures > 990


@pytest.mark.parametrize(
    ("url", "environment", "fault"),
    [
        ("s3://maft/x", {"AWS_ENDPOINT_URL": "http://127.0.0.1:{free}"}, "Could not connect.*//127.0.0.1"),
        ("s3://maft/x", {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:{free}"}, "Could not connect.*//127.0.0.1"),
        ("s3://no-such-bucket/x", {}, "bucket does not exist; make the bucket"),
        ("gs://bucket/x", {}, "install gcsfs"),
        ("odd://bucket/x", {}, "Protocol not known: odd"),
    ],
)
def test_a_store_that_does_not_answer_is_named(
    s3: S3, monkeypatch: pytest.MonkeyPatch, url: str, environment: dict[str, str], fault: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(free=free_port()))
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    fsspec.filesystem("s3").clear_instance_cache()
    with pytest.raises(StoreError, match=fault) as error:
        Bucket(url).check()
    assert url in str(error.value) and PASSWORD not in str(error.value) and "\n" not in str(error.value)
    fsspec.filesystem("s3").clear_instance_cache()


def test_threads_share_a_bucket(s3: S3, tmp_path: Path) -> None:
    store, faults = Store(tmp_path / "home", Bucket(f"s3://{s3.bucket}/{tmp_path.name}")), list[Exception]()

    def work(number: int) -> None:
        try:
            artifact = store.put_frame(pd.DataFrame({"a": [number % 2]}))
            assert Store(tmp_path / str(number), store.bucket).whole(artifact)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        (
            {"MAFT_STORE": "bucket"},
            "MAFT_STORE is 'bucket', which is not the URL of a place; name a bucket",
        ),
        ({"MAFT_STORE": "s3://"}, "MAFT_STORE is 's3:', which is not the URL"),
        ({"MAFT_STORE": "s3://a/b?c"}, "which is not the URL of a place"),
        ({"MAFT_STORE": f"s3://me:{PASSWORD}@a/b"}, "MAFT_STORE has a password; leave it out"),
        (
            {"MAFT_STORE": "memory://a", "MAFT_STORE_CACHE_GB": "much"},
            "MAFT_STORE_CACHE_GB is 'much'; give",
        ),
        ({"MAFT_STORE": "memory://a", "MAFT_STORE_CACHE_GB": "0"}, "MAFT_STORE_CACHE_GB is '0'"),
    ],
)
def test_a_store_that_cannot_be_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], fault: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=fault) as error:
        check_store()
    assert PASSWORD not in str(error.value)


def test_a_step_whose_result_could_not_be_kept_does_not_begin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from infra.home.cache import _after_check

    done = list[int]()
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        _after_check(Bucket(f"file://{tmp_path}/file"), done.append)(1)
    assert done == []


def test_without_a_store_fsspec_is_not_imported(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        import pandas as pd
        from agents.store import Store
        store = Store(Path(sys.argv[1]))
        assert store.whole(store.put_frame(pd.DataFrame({"a": [1]})))
        print(*{"fsspec", "s3fs", "tarfile", "botocore"} & set(sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "fsspec" not in done.stdout and "botocore" not in done.stdout
