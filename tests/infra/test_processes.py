"""Processes are stopped; one whose parent never asks for its status, as in a container without an init, counts too."""

import subprocess
import sys
import threading

import psutil
import pytest

from infra.operation import processes

PARENT = "import subprocess, time; print(subprocess.Popen(['sleep', '3600']).pid, flush=True); time.sleep(3600)"


def test_a_zombie_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_SECONDS", 3600.0)
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        stopping = threading.Thread(target=processes.stop, args=([child],), daemon=True)
        stopping.start()
        stopping.join(600)
        assert not stopping.is_alive() and child.status() == psutil.STATUS_ZOMBIE
    finally:
        parent.kill()
        parent.communicate()
