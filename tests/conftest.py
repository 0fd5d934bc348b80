"""What all tests share: the real embedded model, real servers started once, and the command as a user runs it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

# Two workers with two threads each would wait for one another on two cores. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes is the machine's business; which examples are tried is the same on every run.
settings.register_profile("maft", deadline=None, derandomize=True)
settings.load_profile("maft")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real GSM8K files; a test that needs them skips where they are absent."""
    folder = Path(os.environ.get("MAFT_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "gsm8k_test.jsonl").is_file():
        pytest.skip(f"no GSM8K files in {folder}; set MAFT_SHARED_DATA")
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Maft:
    """The console command, run as a user runs it."""

    environment: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "infra", *arguments],
            env=self.environment,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __call__(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        # A benchmark of all methods takes ten minutes beside another process.
        out, err = process.communicate(timeout=1800)
        assert process.returncode == status, f"maft {' '.join(arguments)}: status {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def json(self, *arguments: str) -> dict:
        return json.loads(self(*arguments, "--json").stdout)


def plain_environment() -> dict[str, str]:
    """The environment without what a developer may have exported."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "MAFT_", "OPENAI_"))}


@pytest.fixture(scope="session")
def maft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maft]:
    """The command with a pair of servers that all tests of the session share."""
    home = tmp_path_factory.mktemp("servers")
    own = {
        **plain_environment(),
        "MAFT_HOME": str(home),
        "MAFT_PREFECT_PORT": str(free_port()),
        "MAFT_MLFLOW_PORT": str(free_port()),
    }
    servers = Maft(own)
    # Not `maft up`: these tests need neither worker nor deployments.
    code = "from infra.home.home import current_home; from infra.operation import servers; servers.up(current_home())"
    subprocess.run([sys.executable, "-c", code], env=own, cwd=ROOT, check=True)
    status = {s["name"]: s["url"] for s in servers.json("status")["servers"]}
    yield Maft(
        {
            **plain_environment(),
            "PREFECT_API_URL": status["prefect"],
            "MLFLOW_TRACKING_URI": status["mlflow"],
        }
    )
    servers("down")


SMALL = [
    "--set",
    "problems.train_size=10",
    "--set",
    "problems.evaluation_size=8",
    "--set",
    "agents=2",
    "--set",
    "finetune.epochs=1",
]
"""A job of the real thing that takes seconds: N = 2, L = 1 unless told otherwise."""
