"""What all tests share: real servers started once for all workers, the command as a user runs it, and who runs what."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from infra.home.home import Home
from infra.operation import processes, servers
from infra.operation.servers import Servers
from tests.command import ROOT, Maft, plain_environment

__all__ = ["ROOT", "SMALL", "Maft", "free_port", "plain_environment"]

# Two workers with two threads each would wait for one another on two cores. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes is the machine's business; which examples are tried is the same on every run.
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
]
"""A job of the real thing that takes seconds: N = 2, L = 1 unless told otherwise."""

TOGETHER = ("tests/operation", "tests/infra/society_model")
"""Folders whose files share what is dear to make: the home that is operated, the society as a model."""
LONGEST = ["tests/operation", "tests/flows", "tests/faults", "tests/agents/test_embedded.py", "tests/infra"]
"""What begins first, so that no worker ends long after the other."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file at a time, and the files of some folders in one worker."""
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


@contextmanager
def _users(file: Path, change: int) -> Iterator[int]:
    """How many workers use the servers after this one has come or gone; others wait until the caller is done."""
    with file.open("a+") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        users.seek(0)
        count = int(users.read() or 0) + change
        yield count
        users.truncate(0)
        users.write(str(count))


@pytest.fixture(scope="session")
def shared_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A Prefect and an MLflow server, the same in all workers: the first starts them, the last stops them."""
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
    """The command, set to use the servers that all tests share."""
    own = {
        "PREFECT_API_URL": shared_servers.prefect_api_url,
        "MLFLOW_TRACKING_URI": shared_servers.mlflow_tracking_uri,
    }
    return Maft({**plain_environment(), **own}, forked=True)
