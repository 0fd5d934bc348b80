"""Asks math-verify, in a separate process, whether two formulas are equal.

math-verify (sympy) receives anything that a model writes, and `9^{9^{9}}` keeps it busy, inside one C call, for longer
than a run lasts. Its own timeout uses SIGALRM, which works only in the main thread and cannot stop a C call. So a
worker process compares the formulas, under limits of the kernel: a timer that ends the process, and a maximum of
memory. The timer counts CPU time, not wall time, so that a busy machine gives the same verdicts as an idle one. A dead
worker is replaced at the next question. One worker serves all threads of a process in turn.

This file holds both sides: imported, it is the caller; run as a script, it is the worker.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

CPU_SECONDS = 1.5
MEMORY_BYTES = 2 << 30
WALL_SECONDS = 60.0
ATTEMPTS = 2


@dataclass
class Worker:
    """A running worker process and the pipe to it."""

    process: subprocess.Popen[bytes]
    pipe: Connection

    @classmethod
    def start(cls) -> "Worker":
        """Start a worker and wait until it has loaded math-verify.

        Raises:
            RuntimeError: the worker ended, or was silent for WALL_SECONDS; its own error is on stderr.
        """
        ours, theirs = Pipe()
        command = [sys.executable, "-P", str(Path(__file__).resolve()), str(theirs.fileno())]
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
                f"the process that compares formulas did not start (exit status {code}); "
                "check that `python -c 'import math_verify'` works in this environment"
            )
        return worker

    def ask(self, a: str, b: str) -> bool | None:
        """Whether a and b are equal; None if there is no verdict after WALL_SECONDS.

        Raises:
            EOFError, OSError: the worker is dead.
        """
        self.pipe.send_bytes(json.dumps([a, b]).encode())
        if not self.pipe.poll(WALL_SECONDS):
            return None
        return self.pipe.recv_bytes() == b"equal"

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


def equal(a: str, b: str) -> bool:
    """Whether math-verify finds two LaTeX formulas equal, in either order.

    A call takes 1-100 ms, the first one of a process about a second. Formulas that take more than CPU_SECONDS or
    MEMORY_BYTES, or that crash math-verify, are not equal. Any thread may call this, also after a fork.

    Raises:
        RuntimeError: the worker cannot start.
        TimeoutError: there is no verdict after WALL_SECONDS, because the machine is overloaded.
    """
    with shared.lock:
        starved = False
        for _ in range(ATTEMPTS):
            # Not shared while it is busy: if this thread is interrupted here, no other question may get this verdict.
            worker, shared.worker = shared.worker or Worker.start(), None
            try:
                verdict = worker.ask(a, b)
                if verdict is not None:
                    shared.worker = worker
                    return verdict
                starved = True
            except (EOFError, OSError):
                starved = False
            code = worker.stop()
            if code == -signal.SIGPROF:
                return False
        if starved:
            raise TimeoutError(f"no verdict on two formulas within {WALL_SECONDS:.0f} s: the machine is overloaded")
        return False


def _stop_at_exit() -> None:
    if shared.worker is not None:
        shared.worker.stop()


def _forget_after_fork() -> None:
    """Let a forked child start its own worker: the parent uses the old pipe, and a thread may hold the old lock."""
    shared.lock, shared.worker = threading.Lock(), None


atexit.register(_stop_at_exit)
os.register_at_fork(after_in_child=_forget_after_fork)


def _compare(a: str, b: str) -> bool:
    """math-verify's verdict. Both orders are tried, since `verify` takes its first argument for the reference."""
    from math_verify import LatexExtractionConfig, parse, verify

    # Only whole formulas: the fallbacks of `parse` pick the last number out of any text that it cannot read.
    left, right = (
        parse(f"\\boxed{{{text}}}", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None)
        for text in (a, b)
    )
    return bool(verify(left, right, timeout_seconds=None) or verify(right, left, timeout_seconds=None))


def _serve(pipe: Connection) -> None:
    """Answer questions until the caller closes the pipe."""
    import logging
    import resource

    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The caller handles Ctrl-C and closes the pipe.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _compare("\\frac{1}{2}", "0.5")  # Loads the grammar before the first question is timed.
    # Drop what the parser prints about each text that it cannot read.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pipe.send_bytes(b"ready")
    while True:
        try:
            a, b = json.loads(pipe.recv_bytes())
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        verdict = _compare(a, b)
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send_bytes(b"equal" if verdict else b"not equal")


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
