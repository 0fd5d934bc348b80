"""The MLflow model of a society: the files in its folder, and its answers."""

import json
import shutil
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from agents.ask import Card
from agents.debate.settings import DebateSettings
from agents.engines import base_model
from agents.engines.base_model import Base, Bases
from agents.engines.protocol import Completion
from agents.engines.transformers.engine import TransformersEngine
from agents.society import Agent, Society
from agents.store import Store
from infra.errors import UserError
from infra.lineage.model.save import save
from tests.conftest import ROOT
from tests.infra.society_model.conftest import COLUMNS, EMBEDDED, QUESTIONS, SAMPLING


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    assert list(frame.columns) == COLUMNS
    return frame.to_dict("records")


def test_the_folder_is_whole_and_has_nothing_that_it_should_not(
    saved: Callable[..., Path], society: Society, store: Store
) -> None:
    folder = saved()  # Loading a model writes compiled code into its folder, so this one was never loaded.
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    own = {
        f"{p}/{f.relative_to(ROOT / p).as_posix()}" for p in ("agents", "evaluation") for f in (ROOT / p).rglob("*.py")
    }
    assert {f.removeprefix("code/") for f in files if f.startswith("code/")} == own
    content = folder / "artifacts" / "society"
    assert {p.name for p in content.iterdir()} == {"society.json", "adapters", "bases"}
    digests = {agent.adapter for agent in society.agents if agent.adapter}
    assert {p.name for p in (content / "adapters").iterdir()} == digests and len(digests) == 2
    for sha256 in digests:
        for file in store.folder(sha256).iterdir():
            assert (content / "adapters" / sha256 / file.name).read_bytes() == file.read_bytes()
    assert base_model.digest(str(content / "bases" / EMBEDDED.sha256)) == EMBEDDED.sha256
    for file in files:
        # A pickle of protocol 2 or later starts with 0x80; a pickle that torch saved is a zip file.
        assert not (folder / file).read_bytes().startswith((b"\x80", b"PK")), file


def test_mlflow_knows_what_it_is(folder: Path) -> None:
    model = mlflow.models.Model.load(str(folder))
    assert model.metadata == {
        "society": "arith",
        "generation": 3,
        "base_model": "embedded",
        "base_model_sha256": EMBEDDED.sha256,
    }
    assert model.signature is not None and model.signature.outputs.input_names() == COLUMNS
    assert [(p.name, p.default) for p in model.signature.params.params] == [("seed", 0)]
    from packaging.requirements import Requirement

    pinned = {Requirement(line) for line in (folder / "requirements.txt").read_text().splitlines()}
    stated = {
        Requirement(line) for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    }
    assert pinned < stated
    assert {r.name for r in pinned} >= {"torch", "transformers", "peft", "mlflow", "math-verify"}


def test_it_answers_as_the_society_does(loaded: Any, expected: list[dict[str, Any]]) -> None:
    assert records(loaded.predict(QUESTIONS, params={"seed": 4})) == expected
    frame = pd.DataFrame({"question": QUESTIONS, "id": [7, 8]}, index=[5, 3])
    assert records(loaded.predict(frame, params={"seed": 4})) == expected
    (first,) = records(loaded.predict(QUESTIONS[:1]))
    assert [first] == records(loaded.predict(QUESTIONS[:1], params={"seed": 0}))
    assert first != expected[0]
    assert len({turn["text"] for turn in expected[0]["transcript"]}) == 4, "the agents must differ for this to show"
    assert expected[0]["answer"] is not None


def test_a_missing_answer_is_none(loaded: Any) -> None:
    long, short = records(loaded.predict(["word " * 3_500, QUESTIONS[0]], params={"seed": 4}))
    assert (long["answer"], long["votes"], long["consensus"]) == (None, {}, 0.0), "it leaves no room in the context"
    assert short["answer"] is not None
    json.dumps(long, allow_nan=False)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ([QUESTIONS[0], " "], "question 2: must not be blank"),
        (["x" * 20_001], "question 1: String should have at most 20000"),
        (pd.DataFrame({"question": [QUESTIONS[0], None]}), "question 2: Input should be a valid string"),
        (pd.DataFrame({"text": QUESTIONS}), "must be named `question` and come first; the first is 'text'"),
        (pd.DataFrame({"id": [""], "question": QUESTIONS[:1]}), "the first is 'id'"),
    ],
)
def test_bad_input_is_named(loaded: Any, data: Any, named: str) -> None:
    with pytest.raises(MlflowException, match=named) as refused:
        loaded.predict(data)
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


class Watched:
    """The real engine, which also records how many threads use it at once."""

    def __init__(self, engine: TransformersEngine) -> None:
        self.answer = engine.complete
        self.asking = self.most = 0
        self.lock = threading.Lock()

    def complete(self, *request: Any) -> list[Completion]:
        with self.lock:
            self.asking += 1
            self.most = max(self.most, self.asking)
        try:
            return self.answer(*request)
        finally:
            with self.lock:
                self.asking -= 1


def test_of_two_threads_at_once_one_waits(loaded: Any, expected: list[dict[str, Any]]) -> None:
    """Otherwise one thread would use the base while it contains the adapters of the other."""
    engine = loaded.unwrap_python_model().loaded
    watched = Watched(engine)
    engine.complete = watched.complete
    said: dict[int, list[dict[str, Any]]] = {}

    def listen(place: int) -> None:
        said[place] = records(loaded.predict(QUESTIONS[place : place + 1], params={"seed": 4}))

    threads = [threading.Thread(target=listen, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == {0: expected[:1], 1: expected[1:]}
    assert watched.most == 1


def test_a_local_base_is_copied_without_its_pickles_and_only_if_it_is_still_the_same(
    saved: Callable[..., Path], tmp_path: Path
) -> None:
    local = tmp_path / "local"
    shutil.copytree(base_model.EMBEDDED, local)
    (local / "pytorch_model.bin").write_bytes(b"\x80\x04")
    base = Base(name=str(local), sha256=base_model.digest(str(local)))
    copied = saved(base) / "artifacts" / "society" / "bases" / base.sha256
    assert base_model.digest(str(copied)) == base.sha256
    assert not (copied / "pytorch_model.bin").exists()
    (local / "config.json").write_text((local / "config.json").read_text() + "\n")
    with pytest.raises(UserError, match=f"base_model: '{local}' has digest"):
        saved(base)


def test_a_project_that_the_user_stands_in_does_not_leak_into_the_model(
    saved: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("uv.lock", "pyproject.toml"):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    assert not {"uv.lock", "pyproject.toml"} & {path.name for path in saved().iterdir()}


def test_a_missing_adapter_is_named(store: Store, tmp_path: Path) -> None:
    lost = Society(
        generation=1,
        generators=[Agent(role="generator", index=0, adapter="a" * 64)],
        critics=[Agent(role="critic", index=0)],
    )
    with pytest.raises(FileNotFoundError, match="a" * 64):
        card = Card(society=lost, bases=Bases(each=(EMBEDDED,)), debate=DebateSettings(), sampling=SAMPLING)
        save(tmp_path / "m", "arith", card, adapters=store.folders)
    assert not (tmp_path / "m").exists()
