"""`maft serve` is one process of `maft up`: it stays itself, answers, and ends when it is asked to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, Maft, free_port, plain_environment

pytestmark = pytest.mark.slow


def test_a_server_answers_until_sigterm(tmp_path: Path) -> None:
    port = free_port()
    command = ["serve", "mlflow", "--port", str(port), "--home", str(tmp_path / "home")]
    server = subprocess.Popen([sys.executable, "-m", "infra", *command], cwd=ROOT, env=plain_environment())
    try:
        deadline = time.monotonic() + 120.0
        while True:
            assert server.poll() is None
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health").text == "OK":
                    break
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.5)
        assert "mlflow" in Path(f"/proc/{server.pid}/cmdline").read_text()
        server.terminate()
        assert server.wait(60.0) in (0, -signal.SIGTERM)
    finally:
        server.kill()


def test_the_check_names_a_worker_that_nobody_hears(maft: Maft, tmp_path: Path) -> None:
    said = maft("serve", "check", "--home", str(tmp_path / "home"), status=2).stderr
    assert "has not heard from the worker maft-" in said


def test_a_worker_needs_servers_that_run_already(tmp_path: Path) -> None:
    nowhere = Maft({**plain_environment(), "PATH": os.environ["PATH"]})
    said = nowhere("serve", "worker", "--home", str(tmp_path / "home"), status=2).stderr
    assert "PREFECT_API_URL is not set; set it to the address of a Prefect server" in said
