"""Runs the command `maft` for tests: as a new process, or as a fork of a process that has imported the libraries.

Importing torch, transformers, MLflow, Prefect and others takes longer than most commands. One process imports them, and
each command is a fork of it with its own arguments, environment, streams and exit status. This process imports no code
of the project itself.
"""

import atexit
import functools
import json
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from infra.home.home import Home
from infra.operation.environment import client_environment

ROOT = Path(__file__).resolve().parent.parent
LONGEST_SECONDS = 3600
"""The time limit of a command; a benchmark of all methods takes ten minutes on a busy machine."""
LIBRARIES = [
    "torch",
    "transformers",
    "peft",
    "trl",
    "datasets",
    "sentence_transformers",
    "mlflow.pyfunc",
    "mlflow.models",
    "pandas",
    "pyarrow",
]
LIBRARIES += [
    "scipy.stats",
    "matplotlib.pyplot",
    "math_verify",
    "httpx",
    "typer",
    "rich.progress",
    "jinja2",
    "sqlalchemy",
]
LIBRARIES += [
    "prefect.main",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.artifacts",
    "prefect.concurrency.sync",
]
LIBRARIES += ["tests.warm"]


def plain_environment() -> dict[str, str]:
    """The environment without variables that a developer may have exported for maft and what it uses."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "MAFT_", "OPENAI_"))}


class Forked:
    """A function call in a forked process, with the interface of `subprocess.Popen` for text output in pipes."""

    def __init__(self, environment: dict[str, str], call: Callable[..., Any], *arguments: Any) -> None:
        _import_libraries()
        context = multiprocessing.get_context("forkserver")
        out, out_there = context.Pipe(duplex=False)
        err, err_there = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(call, arguments, environment, out_there, err_there))
        self._process.start()
        out_there.close()
        err_there.close()
        self.stdout, self.stderr = _text(out), _text(err)
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status of the process; minus the signal that killed it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(["maft"], timeout or 0.0)
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


def _text(end: Connection) -> TextIO:
    stream = os.fdopen(os.dup(end.fileno()), encoding="utf-8")
    end.close()
    return stream


@functools.cache
def _empty_home() -> TemporaryDirectory[str]:
    """The home of the process that imports the libraries: Prefect makes its folder there when it is imported."""
    return TemporaryDirectory(prefix="maft-tests-")


def _import_libraries() -> None:
    """Start the process from which commands are forked, unless it runs already."""
    before = dict(os.environ)
    try:
        # MLflow reads its logging level when it is imported.
        os.environ.update(client_environment(Home(Path(_empty_home().name)), "", ""))
        forkserver.set_forkserver_preload(LIBRARIES)
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _run(
    call: Callable[..., Any], arguments: tuple[Any, ...], environment: dict[str, str], out: Connection, err: Connection
) -> None:
    """In the fork: set the arguments, environment and streams of the call, run it, and exit as Python does."""
    for number, end in ((1, out), (2, err)):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, errors="backslashreplace", buffering=1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    status: Any = 0
    try:
        call(*arguments)
    except SystemExit as end:
        status = end.code
    except BaseException:  # Python reports any error that reaches the end of a script, and exits with 1.
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


def run_module(name: str, arguments: tuple[str, ...]) -> None:
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
            return Forked(self.environment, run_module, "infra", arguments)
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
