"""The program of the driver: connects to the cluster, and does the work that `link` asks for.

python -m agents.runners.ray.driver FD      FD is the number of an open socket
"""

import logging
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from ray.exceptions import RayError

from agents.engines.protocol import EngineError
from agents.runners.ray.cluster import Watch, connect
from agents.runners.ray.link import Job, out_of_reach
from agents.runners.ray.pool import Pool


class Asker(logging.Handler):
    """Talks to the process that wants the work; a question gets an answer, news get none."""

    def __init__(self, link: Connection) -> None:
        super().__init__(logging.INFO)
        self.link = link

    def ask(self, kind: str, *given: Any) -> Any:
        """The answer to a question."""
        self.link.send((kind, *given))
        return self.link.recv()

    def tell(self, kind: str, *given: Any) -> None:
        """Tell news."""
        self.link.send((kind, *given))

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record of the log on."""
        self.tell("log", record.name, record.levelno, record.getMessage())


def main(link: Connection) -> None:
    """Do one step's work after another, until the other side closes the link."""
    job: Job = link.recv()
    asker = Asker(link)
    logging.getLogger("maft").addHandler(asker)
    logging.getLogger("maft").setLevel(logging.INFO)
    pool = Pool(job, asker)
    try:
        while True:
            step(pool, job, asker, link.recv())
    except (EOFError, ConnectionResetError, BrokenPipeError):
        pool.close()


def step(pool: Pool, job: Job, asker: Asker, parts: Sequence[tuple[float, frozenset[str]]]) -> None:
    """Do the work of a step; tell why if it cannot be done."""
    one = job.settings
    try:
        connect(one.address, cpus=one.actors * one.cpus, wait_seconds=one.wait_seconds)
    except (RayError, OSError, RuntimeError) as error:
        # It has waited long enough, so another try would not help.
        asker.tell("failed", out_of_reach(one.address, _first_line(error)))
        return
    try:
        with Watch() as head:
            pool.do(parts, head)
    except (EOFError, ConnectionResetError, BrokenPipeError):
        raise
    except EngineError as error:
        asker.tell("failed", f"runner: {error}")
    except (RayError, OSError, RuntimeError) as error:
        asker.tell("lost", _first_line(error))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
