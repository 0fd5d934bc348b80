"""Runs the command `maft` for tests: as a new process, or as a fork of a process that has imported the libraries."""

import json
import os
import runpy
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TextIO

from tests.forks import ADDRESS_VARIABLE, ROOT, receive_number, send_call

LONGEST_SECONDS = 3600
"""The time limit of a command; a benchmark of all methods takes ten minutes on a busy machine."""


def plain_environment() -> dict[str, str]:
    """The environment without variables that a developer may have exported for Python, maft and what it uses."""
    own = ("PREFECT_", "MLFLOW_", "MAFT_", "OPENAI_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


class Forked:
    """A function call in a fork of the process in `tests.forks`, with the interface of `subprocess.Popen` for text."""

    def __init__(self, environment: dict[str, str], call: Callable[..., None], *arguments: str) -> None:
        out, out_there = os.pipe()
        err, err_there = os.pipe()
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(os.environ[ADDRESS_VARIABLE])
        nothing = os.open(os.devnull, os.O_RDONLY)
        send_call(self._connection, call, arguments, environment, (nothing, out_there, err_there))
        for there in (nothing, out_there, err_there):
            os.close(there)
        self.stdout, self.stderr = (os.fdopen(end, encoding="utf-8") for end in (out, err))
        self.pid = receive_number(self._connection)
        self.returncode: int | None = None
        """The exit status of the process; minus the signal that killed it; None while it is not known to have ended."""

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], 0.0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(["maft"], timeout or 0.0)
            self.returncode = receive_number(self._connection)
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait until the process ends; return its output on stdout and on stderr."""
        said: dict[TextIO, str] = {}
        streams = (self.stdout, self.stderr)
        readers = [threading.Thread(target=lambda s=stream: said.update({s: s.read()})) for stream in streams]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join()
        for stream in streams:
            stream.close()
        return said[self.stdout], said[self.stderr]


def run_module(name: str, *arguments: str) -> None:
    """Do the same as `python -m name arguments`."""
    sys.argv = [name, *arguments]
    sys.path.insert(0, str(ROOT))
    runpy.run_module(name, run_name="__main__", alter_sys=True)


@dataclass(frozen=True)
class Maft:
    """The command `maft`, run as a user runs it."""

    environment: dict[str, str]
    forked: bool = False
    """Whether commands run as forks of a process that has imported the libraries."""

    @property
    def cold(self) -> "Maft":
        """The same command, but each run is a new process."""
        return replace(self, forked=False)

    def start(self, *arguments: str) -> "subprocess.Popen[str] | Forked":
        if self.forked:
            return Forked(self.environment, run_module, "infra", *arguments)
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
        out, err = process.communicate(timeout=LONGEST_SECONDS)
        assert process.returncode == status, f"maft {' '.join(arguments)}: status {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def json(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self(*arguments, "--json").stdout)
        return found
