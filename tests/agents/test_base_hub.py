"""A base model of a hub has one identity before and after it is fetched, and keeps it when the hub moves.

Run: pytest tests/agents/test_base_hub.py
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

from agents.debate.prompts import DEFAULT
from agents.debate.system_role import check_system_role
from agents.engines import base_model
from agents.engines.base_model import EMBEDDED, BaseModelError, identify_bases
from tests.agents import other_bases
from tests.agents.hub_server import Hub, serving

NAME = "org/name"
FILES = "/{repo_id}/resolve/{revision}/{filename}"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one model, and an empty cache."""
    with serving() as server:
        # huggingface_hub reads HF_ENDPOINT and HF_HOME when it is imported, which it was long ago.
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + FILES)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        close_session()
        server.push(NAME, EMBEDDED)
        yield server
    close_session()


def moved(hub: Hub, folder: Path) -> str:
    """Let the hub's main move to another model; return its commit."""
    return hub.push(NAME, other_bases.perturbed(folder))


def test_one_identity_before_and_after_the_download(hub: Hub, tmp_path: Path) -> None:
    first = identify_bases([NAME], False)
    base = first.of(0)
    assert (base.name, base.commit) == (NAME, hub.branches[NAME, "main"])
    assert base.source == f"{NAME}@{base.commit}"
    asked = len(hub.asked)
    assert asked
    assert identify_bases([NAME], False) == first
    model, _ = base_model.load(base.source, "cpu")
    assert model.name_or_path == NAME
    assert len(hub.asked) == asked, "a complete snapshot is used without asking the hub"
    # Without the cache, everything is fetched again and is the same.
    shutil.rmtree(tmp_path / "cache")
    assert identify_bases([NAME], False) == first and len(hub.asked) > asked


def test_the_commit_stays_when_the_hub_moves(hub: Hub, tmp_path: Path) -> None:
    first = identify_bases([NAME], False)
    commit = moved(hub, tmp_path / "moved")
    asked = len(hub.asked)
    assert identify_bases([NAME], False) == first and len(hub.asked) == asked
    # A machine without the cache finds the registered model by its commit, and the newest by its name.
    shutil.rmtree(tmp_path / "cache")
    base_model.load(first.of(0).source, "cpu")
    assert base_model.digest(first.of(0).source) == first.sha256
    newest = identify_bases([NAME], False)
    assert newest.of(0).commit == commit and newest.sha256 != first.sha256


def test_a_revision_is_named_after_the_name(hub: Hub, tmp_path: Path) -> None:
    first = hub.branches[NAME, "main"]
    second = hub.push(NAME, other_bases.perturbed(tmp_path / "other"), branch="v2")
    branch, main, commit = (identify_bases([name], False) for name in (f"{NAME}@v2", NAME, f"{NAME}@{second}"))
    assert (branch.of(0).commit, main.of(0).commit) == (second, first)
    assert branch.sha256 == commit.sha256 != main.sha256
    with pytest.raises(BaseModelError, match=r"^base_model: org/name@v3 is no folder here and cannot be fetched"):
        identify_bases([f"{NAME}@v3"], False)


def test_only_the_files_of_the_model_are_fetched(hub: Hub, tmp_path: Path) -> None:
    folder = other_bases.copied(tmp_path / "many")
    for name in ("onnx/config.json", "consolidated.safetensors", "pytorch_model.bin", "figure.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"{}")
    hub.push(NAME, folder)
    base = identify_bases([NAME], False).of(0)
    assert {file.name for file in base_model.folder_of(base.source).iterdir()} == {
        *(file.name for file in EMBEDDED.iterdir() if file.name != "README.md")
    }


def test_without_a_network_a_snapshot_in_the_cache_is_used(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = identify_bases([NAME], False)
    hub.shutdown()
    hub.server_close()
    close_session()
    assert identify_bases([NAME], False) == first
    check_system_role(DEFAULT.model_copy(update={"system": "Be brief."}), [NAME], False)
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(BaseModelError, match=r"cannot be fetched from the hub \(.+\); check the name, the network"):
        base_model.check(NAME)


def test_an_interrupted_download_is_completed(hub: Hub, tmp_path: Path) -> None:
    first = identify_bases([NAME], False)
    snapshot = base_model.folder_of(NAME)
    for name in ("model.safetensors", "chat_template.jinja"):
        (snapshot / name).unlink()
        assert identify_bases([NAME], False) == first and (snapshot / name).is_file()


def test_a_model_that_the_hub_does_not_have(hub: Hub) -> None:
    with pytest.raises(BaseModelError, match=r"^base_models: org/other@main is no folder here and cannot") as error:
        identify_bases([NAME, "org/other"], False)
    assert "\n" not in str(error.value)


def test_a_small_file_that_was_changed_in_the_cache_is_refused(hub: Hub) -> None:
    identify_bases([NAME], False)
    template = base_model.folder_of(NAME) / "chat_template.jinja"
    template.write_text("Be brief. " + template.read_text())
    with pytest.raises(BaseModelError, match=r"chat_template.jinja was changed after it came from the hub; delete it"):
        identify_bases([NAME], False)
