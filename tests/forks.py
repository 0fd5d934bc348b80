"""A process that imports the libraries once, and forks itself for each call that the tests send to it.

    python tests/forks.py serve DESCRIPTOR      # of a listening socket; ends when its standard input is closed
    python tests/forks.py python -u -c LINE     # runs the line in a fork, as `python` would

Importing torch, transformers, MLflow, Prefect and others takes longer than most commands. So the workers of pytest are
forks of this process, and so are the commands that they run, each with its own environment, streams and exit status.
The process imports the libraries at the first call, and it imports no code of the project itself.
"""

import atexit
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
ADDRESS_VARIABLE = "TESTS_FORKS"
"""The environment variable with the address of the socket."""
LIBRARIES = (
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
    "scipy.stats",
    "matplotlib.pyplot",
    "math_verify",
    "httpx",
    "typer",
    "rich.progress",
    "jinja2",
    "sqlalchemy",
    "prefect.main",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.artifacts",
    "prefect.concurrency.sync",
    "tests.warm",
)


def send_call(
    connection: socket.socket,
    call: Callable[..., None],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    streams: Sequence[int],
) -> None:
    """Send a call of a module's function, and the descriptors of its stdin, stdout and stderr."""
    named = {"module": call.__module__, "function": call.__name__, "arguments": [*arguments]}
    data = json.dumps({**named, "environment": {**environment}, "path": sys.path}).encode()
    socket.send_fds(connection, [struct.pack("q", len(data))], streams)
    connection.sendall(data)


def receive_number(connection: socket.socket) -> int:
    """The next number that the server sent: first the process id of the fork, then its exit status."""
    return int(struct.unpack("q", _receive(connection, struct.calcsize("q")))[0])


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError("the process of tests.forks has ended")
        data += more
    return data


def serve(listener: socket.socket) -> None:
    """Fork for each call that arrives, and tell its sender the process id and, at the end, the exit status."""
    waiting: dict[int, socket.socket] = {}
    ended, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    while True:
        ready = select.select([listener, ended, 0], [], [])[0]
        if 0 in ready and not os.read(0, 1):
            return
        if ended in ready:
            os.read(ended, 1024)
            _tell_ends(waiting)
        if listener in ready:
            connection, _ = listener.accept()
            _import_libraries()
            pid = _fork(connection, [listener, *waiting.values()])
            waiting[pid] = connection
            _tell(connection, pid)


def _tell_ends(waiting: dict[int, socket.socket]) -> None:
    for pid in list(waiting):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            with waiting.pop(pid) as connection:
                _tell(connection, os.waitstatus_to_exitcode(status))


def _tell(connection: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError):  # The sender of the call no longer waits.
        connection.sendall(struct.pack("q", number))


def _fork(connection: socket.socket, others: list[socket.socket]) -> int:
    """Receive a call and run it in a fork; return the fork's process id."""
    size, streams, _, _ = socket.recv_fds(connection, struct.calcsize("q"), 3)
    data = _receive(connection, struct.unpack("q", size)[0])
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in (connection, *others):
            other.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        _run(json.loads(data))
    for stream in streams:
        os.close(stream)
    return pid


def _run(call: dict[str, Any]) -> NoReturn:
    """In the fork: set the environment and streams of the call, run it, and exit as Python does."""
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, errors="backslashreplace", buffering=1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(call["environment"])
    os.chdir(ROOT)
    sys.path[:] = call["path"]
    # The setting is that of pytest's environment; a user's command keeps what it compiles.
    sys.dont_write_bytecode = False
    status: Any = 0
    try:
        getattr(importlib.import_module(call["module"]), call["function"])(*call["arguments"])
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


def _import_libraries() -> None:
    if LIBRARIES[-1] not in sys.modules:
        for name in LIBRARIES:
            importlib.import_module(name)


def _execute(line: str) -> None:
    exec(line, {"__name__": "__main__"})


def run_as_python(line: str) -> int:
    """Run a line of Python in a fork, with this process's environment and streams; return its exit status."""
    sys.path[0] = ""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[ADDRESS_VARIABLE])
        send_call(connection, _execute, [line], os.environ, (0, 1, 2))
        receive_number(connection)
        for stream in (0, 1):
            os.close(stream)
        return receive_number(connection)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.path[0] = str(ROOT)
        with socket.socket(fileno=int(sys.argv[2])) as given:
            serve(given)
    else:
        os._exit(run_as_python(sys.argv[-1]) & 255)
