"""Nodes of a cluster come and go while a job works: they join late, are killed, and lose their head."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.engines.protocol import EngineError
from agents.runners.local import Local
from agents.runners.ray import Ray
from agents.runners.ray.link import ClusterLostError, close_all
from agents.runners.settings import Part
from tests.cluster import works
from tests.cluster.nodes import Cluster
from tests.cluster.test_ray_runner import during
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    close_all()
    made.stop()


def test_a_node_that_joins_late_is_waited_for_and_a_killed_one_changes_no_result(
    cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = works.one_iteration(Local(threads=1), tmp_path / "local")
    threading.Timer(3, cluster.join).start()
    noticed: list[float] = []

    def kill() -> None:
        second = cluster.join().wait("a node of the cluster")
        cluster.nodes[1].kill()
        noticed.append(time.monotonic())
        assert second.process.poll() is None

    runner = Ray(address=cluster.address, actors=1)
    assert works.one_iteration(runner, tmp_path / "ray", during("debate", kill)) == expected
    assert noticed and [line for line in caplog.messages if " was lost: " in line]


def test_the_loss_of_a_node_is_noticed_within_ten_seconds(
    cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = (cluster.join().wait("a node of the cluster") for _ in range(2))
    run = works.run_on(Ray(address=cluster.address, actors=2), tmp_path)
    works.start_all(run, 2)
    lost: list[float] = []

    def kill() -> None:
        first.kill()
        lost.append(time.time())

    threading.Timer(2, kill).start()
    run.runner.do(works.whose, run, [Part(12.0, 1), Part(0.0, 1), Part(12.0, 1)], lambda *state: None)
    (said,) = [record for record in caplog.records if " was lost: " in record.message]
    assert said.created - lost[0] < 10


@pytest.mark.parametrize("away", ["long", "short"])
def test_the_head_is_lost_and_comes_again(away: str, cluster: Cluster, tmp_path: Path) -> None:
    node = cluster.join().wait("a node of the cluster")
    run = works.run_on(Ray(address=cluster.address, actors=1), tmp_path)
    killed = time.monotonic()

    def kill() -> None:
        nonlocal killed
        (server,) = cluster.head.daemons("gcs_server")
        if away == "long":
            cluster.head.process.send_signal(signal.SIGSTOP)  # So that it does not start again at once.
        server.kill()
        killed = time.monotonic()

    threading.Timer(8, kill).start()
    with pytest.raises(ClusterLostError, match=r"cannot be reached: its head ") as refused:
        run.runner.do(works.whose, run, [Part(100.0, 1)], lambda *state: None)
    assert time.monotonic() - killed < 40 and "\n" not in str(refused.value)
    cluster.head.process.send_signal(signal.SIGCONT)
    # The task's next try: the head starts again, and then the node joins it.
    assert run.runner.do(works.square, run, [Part(3, 1)], lambda *state: None) == [9]
    assert "this machine is not a node" in node.log.read_text("utf-8")


def test_a_node_with_other_packages_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    # Ray lets an actor import the project from where the job has it, if the node has that folder, as here.
    other = tmp_path / "torch-9.9.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9.9\n", "utf-8")
    cluster.join(path=tmp_path)
    run = works.run_on(Ray(address=cluster.address, actors=1), tmp_path)
    refused = (
        r"a node cannot work for this job: its code is .*torch 9\.9\.9.*, and that of the job .*torch 2.*; install"
    )
    with pytest.raises(EngineError, match=refused):
        run.runner.do(works.square, run, [Part(3, 1)], lambda *state: None)


def test_a_driver_with_another_token_is_refused_in_one_line(cluster: Cluster, tmp_path: Path) -> None:
    cluster.join().wait("a node of the cluster")
    environment = {**os.environ, "RAY_AUTH_TOKEN": "0" * 64, "PYTHONPATH": str(ROOT), "PATIENCE": "10"}
    environment.pop("RAY_AUTH_TOKEN_PATH")
    command = [sys.executable, "-m", "tests.cluster.works", "square", cluster.address, "1", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "cannot be reached" in done.stdout and "token" in done.stdout.lower() and done.stdout.count("\n") == 1
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "[9]\n")


@pytest.mark.parametrize(
    ("head", "token", "words"),
    [
        ("10.0.0.1", "right", "the head is '10.0.0.1'; it must be HOST:PORT"),
        ("", None, "there is no token in"),
        ("", "0" * 64, "is not that of the head; copy the head's"),
    ],
)
def test_a_join_that_can_never_work_ends_in_one_line(
    head: str, token: str | None, words: str, cluster: Cluster, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    if token:
        file.write_text(token, "utf-8")
    command = [sys.executable, "-m", "infra", "cluster", "join", head or cluster.address, "--address", cluster.host]
    environment = {**os.environ, "RAY_AUTH_TOKEN_PATH": str(file), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    faults = [line for line in done.stderr.splitlines() if line.startswith("maft: ")]
    assert done.returncode == 2 and len(faults) == 1 and words in faults[0], done.stderr
    assert "Traceback" not in done.stderr
