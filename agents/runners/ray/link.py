"""The link to the driver: a process of its own that uses Ray, since Ray ends a process whose node or head is gone.

So this process, in which a flow runs, imports no Ray, and outlives it. The two talk over a pair of sockets. The driver
asks for a part when an actor is free to take it, and for the files of an adapter when a part needs them.
"""

import atexit
import logging
import os
import pickle
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.engines.base_model import Bases
from agents.engines.protocol import EngineError, OnProgress
from agents.engines.settings import EngineSettings
from agents.runners.ray.environment import token_file, variables
from agents.runners.settings import Part, Together, Work
from agents.store import Store

if TYPE_CHECKING:
    from agents.runners.ray import Ray

log = logging.getLogger("maft.runners")

END_SECONDS = 15
"""How long a driver may take to end its actors."""


class ClusterLostError(EngineError, ConnectionError):
    """The cluster was lost during the work. A task that fails with this is tried again."""


def out_of_reach(address: str | None, why: str) -> str:
    """A message that a cluster cannot be reached, and what to do."""
    return (
        f"runner.address {address or 'of this machine'}: the Ray cluster cannot be reached: {why}; start its head with "
        f"`maft cluster head`, make this machine a node with `maft cluster join`, and give both the same token "
        f"({token_file()})"
    )


@dataclass(frozen=True)
class Job:
    """What a driver and its actors work with."""

    settings: "Ray"
    bases: Bases
    engine: EngineSettings


_open: "list[Driver]" = []


def driver_of(job: Job) -> "Driver":
    """The driver for this job; at most one lives at a time, and one that Ray has ended is replaced."""
    if not _open or _open[0].job != job or _open[0].process.poll() is not None:
        close_all()
        _open.append(Driver(job))
    return _open[0]


def present(settings: "Ray") -> str:
    """How many actors work at present, in words; empty before the first work."""
    return next((driver.who for driver in _open if driver.job.settings == settings), "")


@atexit.register
def close_all() -> None:
    """End the driver, its actors, and a cluster of this machine alone."""
    while _open:
        _open.pop().close()


class Driver:
    """The process that uses Ray, as this process sees it."""

    def __init__(self, job: Job) -> None:
        self.job, self.who = job, ""
        ours, theirs = socket.socketpair()
        self.errors = tempfile.TemporaryFile("w+b")  # noqa: SIM115, `close` closes it
        # A plugin, or a test, is found in the driver where it is found here.
        environment = {**os.environ, **variables(alone=job.settings.address is None)}
        environment["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agents.runners.ray.driver", str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # Ray prints there what its daemons report.
                stderr=self.errors,
                start_new_session=True,  # Ctrl-C is for this process, which then ends the driver.
            )
        self.link = Connection(ours.detach())
        self.link.send(job)

    def do(self, work: Work, parts: Sequence[Part], store: Store, on_progress: OnProgress) -> list[Any]:
        """The results of the work on each part, in the order of the parts.

        Raises:
            ClusterLostError: the cluster cannot be reached, or Ray has ended the driver.
            EngineError: there was no actor for `wait_seconds`, or a part lost too many actors.
        """
        try:
            return _Step(self, work, parts, store, on_progress).run()
        except (EOFError, ConnectionResetError, BrokenPipeError) as error:
            raise ClusterLostError(out_of_reach(self.job.settings.address, self._last_words())) from error
        except BaseException:
            # Ctrl-C, or an error: the driver would go on with the other parts, which nobody needs.
            close_all()
            raise

    def close(self) -> None:
        """End the driver."""
        self.link.close()
        self._wait()
        self.errors.close()

    def _wait(self) -> None:
        """Wait until the driver has ended; if that takes too long, end it at once."""
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _last_words(self) -> str:
        self._wait()
        self.errors.seek(0)
        lines = self.errors.read().decode("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f"Ray ended its driver (exit status {self.process.returncode}{f': {said[-1][:200]}' if said else ''})"


class _Step:
    """One step's work, while the driver does it: each method answers one kind of message."""

    def __init__(
        self, driver: Driver, work: Work, parts: Sequence[Part], store: Store, on_progress: OnProgress
    ) -> None:
        self.driver, self.work, self.parts, self.store = driver, work, parts, store
        self.together = Together(parts, on_progress)
        self.results: dict[int, Any] = {}

    def run(self) -> list[Any]:
        link = self.driver.link
        answers: dict[str, Callable[..., Any]] = {
            "part": self.part,
            "adapter": self.adapter,
            "result": self.result,
            "progress": self.together.tell,
            "log": self.log,
            "who": self.note,
            "lost": self.lost,
            "failed": self.failed,
        }
        link.send([(part.size, part.adapters) for part in self.parts])
        while len(self.results) < len(self.parts):
            kind, *given = link.recv()
            answer = answers[kind](*given)
            if answer is not None:
                link.send(answer)
        return [self.results[place] for place in range(len(self.parts))]

    def part(self, place: int) -> bytes:
        return pickle.dumps((self.work, self.parts[place].given), protocol=5)

    def adapter(self, sha256: str) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.store.folder(sha256).iterdir()}

    def result(self, place: int, pickled: bytes) -> None:
        well, result = pickle.loads(pickled)  # noqa: S301, from an actor of the cluster, which runs the same code
        if not well:
            raise result
        self.results[place] = result
        self.together.tell(place, 1, 1)

    def log(self, name: str, level: int, text: str) -> None:
        logging.getLogger(name).log(level, text)

    def note(self, who: str) -> None:
        self.driver.who = who

    def lost(self, why: str) -> None:
        raise ClusterLostError(out_of_reach(self.driver.job.settings.address, why))

    def failed(self, why: str) -> None:
        raise EngineError(why)
