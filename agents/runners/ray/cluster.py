"""The connection to a Ray cluster, or to a cluster of this machine alone."""

import logging
import socket
import threading
import time
from math import ceil
from typing import Any

import ray
from ray.exceptions import RayError

log = logging.getLogger("maft.runners")

PROBE_SECONDS = 1.0
"""The pause between two probes of the head."""
LOST_SECONDS = 10.0
"""A head that answers no probe for so long is lost. After 60 s without it, Ray ends this process."""


def connect(address: str | None, *, cpus: float, wait_seconds: float) -> None:
    """Make this process a driver of the cluster, unless it is one already.

    Args:
        address: HOST:PORT of the head; None for a cluster of this machine alone, which ends with this process.
        cpus: the number of CPUs of such a cluster.
        wait_seconds: how long to wait for the head, and for this machine to be a node.

    Raises:
        ConnectionError, RuntimeError, RayError: there is no such cluster, or its token is another one.
    """
    if ray.is_initialized():
        return
    quiet: Any = {"log_to_driver": False, "logging_level": "CRITICAL"}
    if address is None:
        ray.init(address="local", num_cpus=ceil(cpus), include_dashboard=False, **quiet)
        return
    deadline, said = time.monotonic() + wait_seconds, False
    while True:
        try:
            probe(address)
            ray.init(address=address, **quiet)
        except (OSError, RuntimeError, RayError) as error:
            if time.monotonic() > deadline:
                raise
            if not said:
                said, why = True, str(error).strip().splitlines()[0]
                log.warning("waiting up to %.0f s for the Ray cluster at %s: %s", wait_seconds, address, why)
            time.sleep(PROBE_SECONDS)
        else:
            return


def probe(address: str) -> None:
    """Open a connection to HOST:PORT, and close it.

    Raises:
        OSError: nobody answers there.
    """
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=2 * PROBE_SECONDS).close()


class Watch:
    """Knows whether the head of the cluster answers; a thread probes it until the context ends."""

    def __init__(self) -> None:
        self.address: str = ray.get_runtime_context().gcs_address
        self.answered = time.monotonic()
        self.error: OSError | None = None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._probe, daemon=True)

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()

    def check(self) -> bool:
        """Whether the head answered the last probe.

        Raises:
            ConnectionError: it has not answered for LOST_SECONDS.
        """
        if self.error and time.monotonic() - self.answered > LOST_SECONDS:
            raise ConnectionError(f"its head has not answered for {LOST_SECONDS:.0f} s ({self.error})")
        return self.error is None

    def _probe(self) -> None:
        while not self.ended.wait(PROBE_SECONDS):
            try:
                probe(self.address)
            except OSError as error:
                self.error = error
            else:
                self.error, self.answered = None, time.monotonic()
