"""The store: stored artifacts are complete, and damaged ones are found and replaced."""

from pathlib import Path

import pandas as pd
import pytest

from agents.store import Artifact, Store, digest

FRAME = pd.DataFrame({"id": ["a", "b"], "answer": ["1", None]})


def test_a_frame_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path)
    artifact = store.put_frame(FRAME)
    pd.testing.assert_frame_equal(store.frame(artifact), FRAME)
    assert artifact.rows == 2 and store.whole(artifact)
    assert store.put_frame(FRAME) == artifact, "the same content has the same name"


@pytest.mark.parametrize("harm", ["truncate", "alter", "delete"])
def test_harm_is_seen_and_mended_by_storing_again(tmp_path: Path, harm: str) -> None:
    store = Store(tmp_path)
    artifact = store.put_frame(FRAME)
    path = tmp_path / artifact.path
    whole = path.read_bytes()
    if harm == "delete":
        path.unlink()
    else:
        path.write_bytes(whole[:-5] if harm == "truncate" else whole[:-1] + bytes([whole[-1] ^ 1]))
    assert not store.whole(artifact)
    assert store.put_frame(FRAME) == artifact
    assert store.whole(artifact) and path.read_bytes() == whole


def test_a_folder_is_named_by_all_its_files(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def write(folder: Path) -> None:
        (folder / "weights").write_bytes(b"1")
        (folder / "config.json").write_text("{}")

    artifact = store.put_folder(write, 5)
    assert store.folder(artifact.sha256) == tmp_path / artifact.path
    assert digest(tmp_path / artifact.path) == artifact.sha256
    (tmp_path / artifact.path / "weights").unlink()
    assert not store.whole(artifact)
    assert store.put_folder(write, 5) == artifact and store.whole(artifact)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        Store(tmp_path).put_folder(fail, 0)
    assert list(tmp_path.rglob("*")) == []


def test_an_artifact_is_strict() -> None:
    with pytest.raises(ValueError, match="extra"):
        Artifact(path="a", sha256="b", rows=1, extra=2)
