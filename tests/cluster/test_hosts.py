"""A whole job on three hosts that share nothing but a network: one of them is killed, one cut off, the head is lost.

The first host has PostgreSQL, Swift, the two servers, the head and the job; the other two are nodes of the cluster.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import postgresql
from tests.cluster import swift
from tests.cluster.hosts import Host, hosts, why_not
from tests.cluster.nodes import Cluster
from tests.command import plain_environment
from tests.conftest import ROOT, SMALL
from tests.faults.test_resume import numbers

REASON = why_not() or swift.why_not() or postgresql.why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(REASON), reason=f"no hosts can be made here: {REASON}")]

CUT_SECONDS = 20
STEPS = 17
"""The steps of the job that are cached."""
JOB = [*SMALL, "--set", "iterations=1", "--set", "finetune.min_votes=1", "--set", "society=abroad"]
ON_RAY = ["--set", "runner.name=ray", "--set", "runner.actors=2", "--set", "runner.wait_seconds=180"]


@dataclass
class Site:
    """The three hosts, what runs on them, and how the command is called on the first one."""

    first: Host
    others: list[Host]
    cluster: Cluster
    environment: dict[str, str]
    made: list[str] = field(default_factory=list)

    def command(self, *arguments: str) -> list[str]:
        """The command `maft` on the first host."""
        return [*self.first.on, sys.executable, "-m", "infra", *arguments]

    def json(self, *arguments: str) -> Any:
        """What a command of `maft` prints with --json."""
        done = subprocess.run(
            self.command(*arguments, "--json"), env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def run(self, home: Path, during: dict[str, Callable[[], None]]) -> tuple[Any, str]:
        """The report of the job and its log; when it reports a step of this name as done, the function is called."""
        options = [*JOB, *ON_RAY, "--set", f"runner.address={self.cluster.address}", "--home", str(home), "--json"]
        log = home.parent / f"{home.name}.log"
        with (home.parent / f"{home.name}.json").open("w+") as report, log.open("w") as kept:
            process = subprocess.Popen(
                self.command("run", *options),
                env=self.environment,
                text=True,
                stdout=report,
                stderr=subprocess.PIPE,
            )
            for line in process.stderr or ():
                print(line, end="", file=kept, flush=True)
                for step in [step for step in during if line.startswith(step)]:
                    threading.Thread(target=during.pop(step)).start()
            assert process.wait() == 0, log.read_text("utf-8")
            report.seek(0)
            return json.load(report), log.read_text("utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    store = Path("/tmp") / f"maft-swift-{os.getpid()}"  # Swift's user must reach it.
    store.mkdir(mode=0o755)
    with (
        hosts(3) as (first, *others),
        postgresql.postgresql(5433, first.on) as address,
        swift.swift(store / "data", first.address, first.on) as url,
    ):
        environment = {
            **plain_environment(),
            **swift.KEYS,
            "PYTHONPATH": str(ROOT),
            "AWS_ENDPOINT_URL": url,
            "MAFT_STORE": "s3://maft/store",
            "MLFLOW_ARTIFACTS_DESTINATION": "s3://maft/mlflow",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{address}/prefect",
            "MLFLOW_BACKEND_STORE_URI": f"postgresql://{address}/mlflow",
        }
        bucket = "import s3fs; s3fs.S3FileSystem().mkdir('maft')"
        subprocess.run([*first.on, sys.executable, "-c", bucket], env=environment, check=True, capture_output=True)
        cluster = Cluster(folder, first.address, first.on)
        for host in others:
            cluster.join(host.address, host.on)
        made = Site(first, others, cluster, {**environment, **_token()})
        yield made
        for home in made.made:
            subprocess.run(made.command("down", "--home", home), env=environment, check=False, capture_output=True)
        cluster.stop()
    subprocess.run(["rm", "-r", str(store)], check=True)


def _token() -> dict[str, str]:
    return {name: os.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The report of the same job in one process, without any of it."""
    home = str(tmp_path_factory.mktemp("alone"))
    command = [sys.executable, "-m", "infra"]
    environment = {**plain_environment(), "PYTHONPATH": str(ROOT)}
    options = [*JOB, "--set", "runner.threads=1", "--home", home, "--json"]
    done = subprocess.run([*command, "run", *options], env=environment, capture_output=True, text=True, check=False)
    subprocess.run([*command, "down", "--home", home], env=environment, check=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_job_survives_a_killed_host_a_cut_one_and_a_lost_head(site: Site, expected: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    site.made.append(str(home))
    killed, cut = site.cluster.nodes[1], site.others[1]

    def cut_off() -> None:
        cut.cut()
        time.sleep(CUT_SECONDS)
        cut.mend()

    def lose_a_host() -> None:
        killed.kill()
        site.cluster.join(site.others[0].address, site.others[0].on)

    def lose_the_head() -> None:
        for server in site.cluster.head.daemons("gcs_server"):
            server.kill()

    events = {
        "evaluate generation 0 · generate": cut_off,
        "iteration 1 · generate": lose_a_host,
        "iteration 1 · finetune": lose_the_head,
    }
    report, log = site.run(home, events)
    assert not events, "all of it happened"
    assert numbers(report) == numbers(expected)
    assert log.count(" was lost: ") == 2, "the cut and the killed host"
    assert site.cluster.head.log.read_text("utf-8").count("this machine is the head of") == 2
    again, _ = site.run(home, {})
    assert again["cached"] == STEPS and numbers(again) == numbers(expected), "all of it comes from the bucket"


def test_another_home_goes_on_from_the_bucket(site: Site, expected: Any, tmp_path: Path) -> None:
    home = tmp_path / "second"
    site.made.append(str(home))
    report, _ = site.run(home, {})
    # This home has servers of its own, on the same databases, so what names them is done again.
    assert report["cached"] >= STEPS - 2 and numbers(report) == numbers(expected)
    state = site.json("status", "--home", str(home), "--society", "abroad")
    assert state["compare"]
