"""Asks sympy, in a separate process, for the values of formulas that math-verify reads.

sympy receives anything that a model writes, and `9^{9^{9}}` keeps it busy, inside one C call, for longer than a run
lasts. A time-out by SIGALRM works only in the main thread and cannot stop a C call. So a worker process computes the
values, under limits of the kernel: a timer that ends the process, and a maximum of memory. The timer counts CPU time,
not wall time, so that a busy machine gives the same values as an idle one. A dead worker is replaced at the next
question. One worker serves all threads of a process in turn.

This file is the caller; `evaluation.answers.values` is what the worker computes.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from evaluation.answers import values as program  # also so that cached results depend on its code

WALL_SECONDS = 60.0
ATTEMPTS = 2
SCRIPT = Path(program.__file__).resolve()

Asked = tuple[str, ...]
"""A kind and its texts: ("formula", text), ("=", text), ("decimal", fraction, places)."""


@dataclass
class Worker:
    """A running worker process and the pipe to it."""

    process: subprocess.Popen[bytes]
    pipe: Connection

    @classmethod
    def start(cls) -> "Worker":
        """Start a worker and wait until it has loaded sympy and math-verify.

        Raises:
            RuntimeError: the worker ended, or was silent for WALL_SECONDS; its own error is on stderr.
        """
        ours, theirs = Pipe()
        command = [sys.executable, "-P", str(SCRIPT), str(theirs.fileno())]
        # sympy's order of terms, and with it how far `simplify` gets, depends on the hash seed.
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=environment,
        )
        theirs.close()
        worker = cls(process, ours)
        try:
            ready = ours.poll(WALL_SECONDS) and ours.recv_bytes() == b"ready"
        except (EOFError, OSError):
            ready = False
        if not ready:
            code = worker.stop()
            raise RuntimeError(
                f"the process that reads formulas did not start (exit status {code}); "
                "check that `python -c 'import math_verify'` works in this environment"
            )
        return worker

    def ask(self, formulas: Sequence[Asked]) -> list[list[str]] | None:
        """The values of the formulas; None if there are none after WALL_SECONDS.

        Raises:
            EOFError, OSError: the worker is dead.
        """
        self.pipe.send_bytes(json.dumps(formulas).encode())
        if not self.pipe.poll(WALL_SECONDS):
            return None
        values: list[list[str]] = json.loads(self.pipe.recv_bytes())
        return values

    def stop(self) -> int:
        """End the process, even if it is busy, and return its exit status, which is negative for a signal."""
        self.pipe.close()
        try:
            return self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@dataclass
class Shared:
    """The one worker of this process, and the lock that lets one thread at a time ask it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    worker: Worker | None = None


shared = Shared()


def values(formulas: Sequence[Asked]) -> list[list[str]] | None:
    """The values of formulas, each a kind and texts, see `evaluation.answers.values`; equal formulas have equal values.

    A call takes 1-100 ms, the first one of a process about a second. None if the formulas together take more than
    CPU_SECONDS or MEMORY_BYTES, or crash sympy. Any thread may call this, also after a fork.

    Raises:
        RuntimeError: the worker cannot start.
        TimeoutError: there is no value after WALL_SECONDS, because the machine is overloaded.
    """
    with shared.lock:
        starved = False
        for _ in range(ATTEMPTS):
            # Not shared while it is busy: if this thread is interrupted here, no other question may get these values.
            worker, shared.worker = shared.worker or Worker.start(), None
            try:
                found = worker.ask(formulas)
                if found is not None:
                    shared.worker = worker
                    return found
                starved = True
            except (EOFError, OSError):
                starved = False
            code = worker.stop()
            if code == -signal.SIGPROF:
                return None
        if starved:
            raise TimeoutError(f"no value of a formula within {WALL_SECONDS:.0f} s: the machine is overloaded")
        return None


def _stop_at_exit() -> None:
    if shared.worker is not None:
        shared.worker.stop()


def _forget_after_fork() -> None:
    """Let a forked child start its own worker: the parent uses the old pipe, and a thread may hold the old lock."""
    shared.lock, shared.worker = threading.Lock(), None


atexit.register(_stop_at_exit)
os.register_at_fork(after_in_child=_forget_after_fork)
