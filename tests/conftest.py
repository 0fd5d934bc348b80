"""Fixtures for all tests (real servers started once for all workers, the command `maft`), and the order of files."""

import fcntl
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings

from infra.home.home import Home
from infra.operation import processes, servers
from infra.operation.environment import client_environment
from infra.operation.servers import Servers
from tests.command import Maft, plain_environment
from tests.forks import ADDRESS_VARIABLE, ROOT

__all__ = ["ROOT", "SMALL", "Maft", "free_port", "plain_environment"]

# Workers with two threads each would slow each other down on two cores. Set this before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Examples have no time limit, since machines differ in speed; every run tries the same examples.
settings.register_profile("maft", deadline=None, derandomize=True)
settings.load_profile("maft")

SMALL = [
    "--set",
    "problems.train_size=10",
    "--set",
    "problems.evaluation_size=8",
    "--set",
    "agents=2",
    "--set",
    "finetune.epochs=1",
    "--set",
    "sampling.max_new_tokens=120",
    "--set",
    "sampling.max_summary_tokens=120",
]
"""Options of a real job with N = 2 on the embedded model that takes seconds."""

FORKS = str(ROOT / "tests" / "forks.py")
TOGETHER = ("tests/operation", "tests/infra/society_model")
"""Folders whose files share a fixture that takes long to make: an operated home, a society as a model."""
LONGEST = ["tests/operation", "tests/agents/test_embedded.py", "tests/flows", "tests/faults", "tests/infra"]
"""Files and folders that run first, in this order, so that all workers end at about the same time."""


def pytest_configure(config: pytest.Config) -> None:
    """Start the process of `tests.forks`, which imports nothing before its first call."""
    if ADDRESS_VARIABLE in os.environ:  # This is a worker.
        return
    folder = TemporaryDirectory(prefix="maft-tests-")
    os.environ[ADDRESS_VARIABLE] = f"{folder.name}/forks"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.environ[ADDRESS_VARIABLE])
        listener.listen()
        forks = subprocess.Popen(
            [sys.executable, FORKS, "serve", str(listener.fileno())],
            env=client_environment(Home(Path(folder.name)), "", ""),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )

    def end() -> None:
        forks.communicate()
        folder.cleanup()
        del os.environ[ADDRESS_VARIABLE]

    config.add_cleanup(end)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Let the workers be forks of that process."""
    for spec in specs:
        spec.python = shlex.join([sys.executable, FORKS, "python"])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A scheduler that gives a worker one file at a time, and all files of a folder in TOGETHER to one worker."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            together = (folder for folder in TOGETHER if nodeid.startswith(folder))
            return next(together, str(super()._split_scope(nodeid)))

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((n for n, start in enumerate(LONGEST) if item.nodeid.startswith(start)), len(LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def brief_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a base model with short responses, see `tests.brief_base`."""
    from tests.brief_base import write_base

    return write_base(tmp_path_factory.mktemp("brief") / "base")


@pytest.fixture(scope="session")
def brief_problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of problems that this model solves by chance."""
    from tests.brief_base import write_problems

    return write_problems(tmp_path_factory.mktemp("brief") / "problems.jsonl")


@pytest.fixture(scope="session")
def brief(brief_folder: Path, brief_problems: Path) -> list[str]:
    """SMALL on this model and its problems, which takes less time."""
    return [*SMALL, "--set", f"base_model={brief_folder}", "--set", f"problems.train={brief_problems}"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real GSM8K files; a test that needs them is skipped if they are missing."""
    folder = Path(os.environ.get("MAFT_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "gsm8k_test.jsonl").is_file():
        pytest.skip(f"no GSM8K files in {folder}; set MAFT_SHARED_DATA")
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _users(file: Path, change: int) -> Iterator[int]:
    """Count a worker in or out, and give the number of workers that use the servers; others wait meanwhile."""
    with file.open("a+") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        users.seek(0)
        count = int(users.read() or 0) + change
        yield count
        users.truncate(0)
        users.write(str(count))


@pytest.fixture(scope="session")
def shared_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A Prefect and an MLflow server that all workers share; the first worker starts them, the last stops them."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    home = Home.open(folder / "servers")
    try:
        with _users(folder / "users", 1), pytest.MonkeyPatch.context() as patch:
            for name in os.environ.keys() - plain_environment().keys():
                patch.delenv(name)
            if not processes.read_records(home):
                patch.setenv("MAFT_PREFECT_PORT", str(free_port()))
                patch.setenv("MAFT_MLFLOW_PORT", str(free_port()))
            # Not `maft up`: these tests need neither worker nor deployments.
            found = servers.up(home)
        yield found
    finally:
        with _users(folder / "users", -1) as left:
            if left <= 0:
                servers.down(home)


@pytest.fixture(scope="session")
def maft(shared_servers: Servers) -> Maft:
    """The command `maft`, which uses the servers that all tests share."""
    own = {
        "PREFECT_API_URL": shared_servers.prefect_api_url,
        "MLFLOW_TRACKING_URI": shared_servers.mlflow_tracking_uri,
    }
    return Maft({**plain_environment(), **own}, forked=True)
