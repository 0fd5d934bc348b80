"""The MLflow model of a society gives the same answers in a process without this project, and as a server."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.engines import base_model
from agents.engines.base_model import Base
from tests.conftest import free_port, plain_environment
from tests.infra.society_model.conftest import ONE_THREAD, QUESTIONS

START_SECONDS = 600
"""On a busy machine, importing mlflow can take a minute."""
ELSEWHERE = """
import importlib.util, json, sys
assert not any(importlib.util.find_spec(name) for name in ("agents", "evaluation", "infra")), sys.path
import mlflow
model = mlflow.pyfunc.load_model(sys.argv[1], model_config={"device": "cpu", "batch_rows": 1})
from agents import ask
from evaluation.answers import extract
assert importlib.util.find_spec("infra") is None
frame = model.predict(json.loads(sys.argv[2]), params={"seed": 4})
print(json.dumps({"code": [ask.__file__, extract.__file__], "rows": frame.to_dict("records")}))
"""


def elsewhere(folder: Path, cwd: Path, **environment: str) -> dict[str, Any]:
    """Answers of a process that has the installed packages but not this project; -S skips the project's .pth file."""
    process = subprocess.run(
        [sys.executable, "-S", "-c", ELSEWHERE, str(folder), json.dumps(QUESTIONS)],
        env={**plain_environment(), **ONE_THREAD, "PYTHONPATH": sysconfig.get_paths()["purelib"], **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def test_a_process_without_this_project_answers_the_same_from_a_hub_id(
    saved: Callable[..., Path], expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The model names its base and does not contain it; the base comes from the hub's cache on that machine."""
    cache = tmp_path / "hub" / "models--maft--embedded"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    shutil.copytree(base_model.EMBEDDED, cache / "snapshots" / ("0" * 40))
    folder = saved(Base(name="maft/embedded", sha256="f" * 64))
    assert not (folder / "artifacts" / "society" / "bases").exists()
    found = elsewhere(folder, tmp_path, HF_HUB_CACHE=str(tmp_path / "hub"), HF_HUB_OFFLINE="1")
    assert found["rows"] == expected
    code = folder / "code"
    assert found["code"] == [str(code / "agents" / "ask.py"), str(code / "evaluation" / "answers" / "extract.py")]


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
        with urllib.request.urlopen(request, timeout=START_SECONDS) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
