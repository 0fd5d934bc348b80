"""The society as an MLflow model: what its folder holds, and that it answers alike wherever it is loaded."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException
from peft import LoraConfig, get_peft_model
from rich.console import Console

from agents.answer import answer
from agents.engines import base_model
from agents.engines.base_model import Base
from agents.engines.protocol import Completion, Sampling
from agents.engines.transformers_engine import TransformersEngine
from agents.society import Agent, Society
from infra.asking import ask, show_answer
from infra.errors import UserError
from infra.societies import register_society
from infra.society_model import save
from infra.store import Store
from tests.conftest import ROOT, free_port, plain_environment
from tests.infra.conftest import START_SECONDS
from tests.infra.lineage_samples import a_job, registered

SAMPLING = Sampling(max_new_tokens=160, max_summary_tokens=60)
QUESTIONS = ["What is the result of 25+3*13+27-15*1?", "What is the result of 18+8*14+16-4*1?"]
EMBEDDED = Base(name="embedded", sha256=base_model.digest("embedded"))
COLUMNS = ["question", "answer", "votes", "consensus", "transcript"]


# So few rows are no faster on two threads, which wait for each other for long where the machine is busy.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def society(store: Store) -> Society:
    """Two generators, one of them still the base; two critics, one with the adapter of the generator."""
    made = []
    for seed in range(2):
        model, _ = base_model.load("embedded", "cpu")
        torch.manual_seed(seed)
        tuned = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "down_proj"]))
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)

        def write(folder: Path, tuned: Any = tuned) -> None:
            tuned.save_pretrained(str(folder), save_embedding_layers=False)
            (folder / "README.md").unlink(missing_ok=True)

        made.append(store.put_folder(write, 0).sha256)
    one, two = made
    return Society(
        generation=3,
        generators=[Agent(role="generator", index=0, adapter=one), Agent(role="generator", index=1)],
        critics=[Agent(role="critic", index=0, adapter=two), Agent(role="critic", index=1, adapter=one)],
    )


@pytest.fixture(scope="module")
def saved(store: Store, society: Society, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Saves the society with some base."""

    def make(base: Base = EMBEDDED) -> Path:
        folder = tmp_path_factory.mktemp("saved") / "model"
        save(folder, "arith", society, store.folders, base, rounds=2, summarize=True, sampling=SAMPLING)
        return folder

    return make


@pytest.fixture(scope="module")
def folder(saved: Callable[..., Path]) -> Path:
    return saved()


@pytest.fixture(scope="module")
def expected(store: Store, society: Society) -> list[dict[str, Any]]:
    """What the society says by itself, seed 4."""
    engine = TransformersEngine(*base_model.load("embedded", "cpu"), adapters=store.folders)
    return [a.model_dump(mode="json") for a in answer(engine, society, QUESTIONS, 2, True, SAMPLING, 4)]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Any:
    # Loading puts the model's copy of the code on the path, for good.
    monkeypatch.setattr(sys, "path", [*sys.path])
    return mlflow.pyfunc.load_model(str(folder))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    assert list(frame.columns) == COLUMNS
    return frame.to_dict("records")


def test_the_folder_is_whole_and_has_nothing_that_it_should_not(folder: Path, society: Society, store: Store) -> None:
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    own = {
        f"{p}/{f.relative_to(ROOT / p).as_posix()}" for p in ("agents", "evaluation") for f in (ROOT / p).rglob("*.py")
    }
    assert {f.removeprefix("code/") for f in files if f.startswith("code/")} == own
    content = folder / "artifacts" / "society"
    assert {p.name for p in content.iterdir()} == {"society.json", "adapters", "base"}
    digests = {agent.adapter for agent in society.agents if agent.adapter}
    assert {p.name for p in (content / "adapters").iterdir()} == digests and len(digests) == 2
    for sha256 in digests:
        for file in store.folder(sha256).iterdir():
            assert (content / "adapters" / sha256 / file.name).read_bytes() == file.read_bytes()
    assert base_model.digest(str(content / "base")) == EMBEDDED.sha256
    for file in files:
        # A pickle of protocol 2 or later starts with 0x80, one that torch saved is a zip.
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
    """The real engine, with an eye on how many ask it at once."""

    def __init__(self, engine: TransformersEngine) -> None:
        self.engine = engine
        self.asking = self.most = 0
        self.lock = threading.Lock()

    def complete(self, *request: Any) -> list[Completion]:
        with self.lock:
            self.asking += 1
            self.most = max(self.most, self.asking)
        try:
            return self.engine.complete(*request)
        finally:
            with self.lock:
                self.asking -= 1


def test_of_two_threads_at_once_one_waits(loaded: Any, expected: list[dict[str, Any]]) -> None:
    """Otherwise the adapters of one would be in the base while the other speaks."""
    model = loaded.unwrap_python_model()
    model.engine = watched = Watched(model.engine)
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


ELSEWHERE = """
import importlib.util, json, sys
assert not any(importlib.util.find_spec(name) for name in ("agents", "evaluation", "infra")), sys.path
import mlflow
model = mlflow.pyfunc.load_model(sys.argv[1], model_config={"device": "cpu", "batch_rows": 1})
import agents.answer, evaluation.answers
assert importlib.util.find_spec("infra") is None
frame = model.predict(json.loads(sys.argv[2]), params={"seed": 4})
print(json.dumps({"code": [agents.answer.__file__, evaluation.answers.__file__], "rows": frame.to_dict("records")}))
"""


def elsewhere(folder: Path, cwd: Path, **environment: str) -> dict[str, Any]:
    """Answers of a process that has the installed packages, but nothing of this project: -S skips its .pth file."""
    process = subprocess.run(
        [sys.executable, "-S", "-c", ELSEWHERE, str(folder), json.dumps(QUESTIONS)],
        env={**plain_environment(), **ONE_THREAD, "PYTHONPATH": sysconfig.get_paths()["purelib"], **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def test_a_process_without_this_project_answers_the_same_from_a_hub_id(
    saved: Callable[..., Path], expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The base is named, not copied: it comes from the hub's cache of that machine."""
    cache = tmp_path / "hub" / "models--maft--embedded"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    shutil.copytree(base_model.EMBEDDED, cache / "snapshots" / ("0" * 40))
    folder = saved(Base(name="maft/embedded", sha256="f" * 64))
    assert not (folder / "artifacts" / "society" / "base").exists()
    found = elsewhere(folder, tmp_path, HF_HUB_CACHE=str(tmp_path / "hub"), HF_HUB_OFFLINE="1")
    assert found["rows"] == expected
    code = folder / "code"
    assert found["code"] == [str(code / "agents" / "answer.py"), str(code / "evaluation" / "answers.py")]


def test_a_local_base_is_copied_without_its_pickles_and_only_if_it_is_still_the_same(
    saved: Callable[..., Path], tmp_path: Path
) -> None:
    local = tmp_path / "local"
    shutil.copytree(base_model.EMBEDDED, local)
    (local / "pytorch_model.bin").write_bytes(b"\x80\x04")
    base = Base(name=str(local), sha256=base_model.digest(str(local)))
    copied = saved(base) / "artifacts" / "society" / "base"
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
        save(tmp_path / "m", "arith", lost, store.folders, EMBEDDED, rounds=2, summarize=True, sampling=SAMPLING)
    assert not (tmp_path / "m").exists()


def test_mlflow_models_serve(folder: Path, expected: list[dict[str, Any]], tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "--env-manager", "local"]
    scripts = sysconfig.get_path("scripts")
    environment = {**plain_environment(), **ONE_THREAD, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/ping", server, tmp_path / "log")
        status, reply = post(url, {"inputs": QUESTIONS, "params": {"seed": 4}})
        assert (status, reply["predictions"]) == (200, expected)
        split = {"columns": ["question"], "data": [[question] for question in QUESTIONS]}
        status, reply = post(url, {"dataframe_split": split, "params": {"seed": 4}})
        assert (status, reply["predictions"]) == (200, expected)
        status, reply = post(url, {"inputs": [QUESTIONS[0], ""]})
        assert (status, reply["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert "question 2" in reply["message"]
    finally:
        os.killpg(server.pid, 9)
        server.wait(60)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    raise TimeoutError(log.read_text())


def post(url: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        f"{url}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_registered_society_is_asked_by_its_alias(
    tracking: str, monkeypatch: pytest.MonkeyPatch, folder: Path, society: Society, store: Store, expected: list[Any]
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    job = a_job("asked")
    agents = {
        agent.name: registered(job, 3, agent, store.folder(agent.adapter) if agent.adapter else None)
        for agent in society.agents
    }
    register_society(
        job,
        society,
        agents,
        parent_version=None,
        base_model=EMBEDDED.name,
        base_sha256=EMBEDDED.sha256,
        model_folder=folder,
        description="Made for a test.",
    )
    said = ask("asked", "candidate", QUESTIONS[0], 4)
    assert said == {"society": "asked", "version": "1", "generation": 3, "seed": 4, **expected[0]}
    assert ask("asked", "1", QUESTIONS[0], 4) == said
    json.dumps(said, allow_nan=False)
    with pytest.raises(UserError, match="society 'asked' has no champion"):
        ask("asked", "champion", QUESTIONS[0], 4)
    with pytest.raises(UserError, match="society 'asked' has no version 2"):
        ask("asked", "2", QUESTIONS[0], 4)
    with pytest.raises(UserError, match="question 1: must not be blank"):
        ask("asked", "1", " ", 4)


def test_a_hostile_answer_is_shown_as_text() -> None:
    hostile = "[bold red]not markup[/] \x1b[2J\x9b31m\u202e :smile: " + "long " * 40
    turns = [
        {"round": 1, "agent": "generator-0", "read": None, "text": hostile, "answer": None},
        {"round": 2, "agent": "critic-0", "read": hostile, "text": "tab\tand\nline", "answer": "[/]"},
        {"round": 2, "agent": "critic-1", "read": "", "text": "", "answer": None},
    ]
    answer = {"society": "arith", "version": "3", "generation": 2, "seed": 0, "question": "[link]2+2?"}
    answer |= {"answer": "[/]", "votes": {"[/]": 1}, "consensus": 0.5, "transcript": turns}
    terminal = StringIO()
    show_answer(Console(file=terminal, width=80), answer)
    shown = terminal.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    assert all(line == line.rstrip() for line in shown.splitlines())
    assert shown.count("[bold red]not markup[/]") == 2 and ":smile:" in shown and "[link]2+2?" in shown
    assert not set("\x1b\x9b\u202e\t") & set(shown)
    assert "generator-0: no answer" in shown and "critic-0: [/]" in shown
    assert "  1 for [/]\n  1 without an answer\n" in shown
    assert shown.rstrip().endswith("Answer [/]  (consensus 50 %)")
