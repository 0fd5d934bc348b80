"""Three hosts on a network of their own: one of them is cut off while the society works, and comes back."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agents.runners.local import Local
from tests.cluster import works
from tests.cluster.hosts import hosts, why_not
from tests.cluster.nodes import Cluster
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=f"no hosts can be made here: {why_not()}")]

CUT_SECONDS = 30


def test_a_host_that_is_cut_off_for_half_a_minute_changes_no_result(tmp_path: Path) -> None:
    expected = json.loads(json.dumps(works.one_iteration(Local(threads=1), tmp_path / "local"), default=_plain))
    with hosts(3) as (first, *others):
        cluster = Cluster(tmp_path, first.address, first.on)
        try:
            nodes = [cluster.join(host.address, host.on).wait("a node of the cluster") for host in others]
            command = [
                sys.executable,
                "-m",
                "tests.cluster.works",
                "iteration",
                cluster.address,
                "2",
                str(tmp_path / "ray"),
            ]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            log = tmp_path / "driver.log"
            with log.open("w") as lines, (tmp_path / "result.json").open("w") as result:
                driver = subprocess.Popen([*first.on, *command], env=environment, stdout=result, stderr=lines)
                try:
                    _wait(log, "debate")
                    others[0].cut()
                    time.sleep(CUT_SECONDS)
                    others[0].mend()
                    assert driver.wait(240) == 0, log.read_text("utf-8")
                finally:
                    driver.kill()
            assert json.loads((tmp_path / "result.json").read_text("utf-8")) == expected
            assert log.read_text("utf-8").count(" was lost: ") == 1
            # The node gave up its place in the cluster when it was cut off, and took a new one.
            nodes[0].wait("this machine is a node of the cluster", times=2)
        finally:
            cluster.stop()


def _plain(record: Any) -> Any:
    return record.model_dump()


def _wait(log: Path, words: str) -> None:
    deadline = time.monotonic() + 120
    while words not in log.read_text("utf-8"):
        assert time.monotonic() < deadline, log.read_text("utf-8")
        time.sleep(0.1)
