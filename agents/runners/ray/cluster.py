"""The connection to a Ray cluster, or to a cluster of this machine alone."""

import logging
import socket
import threading
import time
from math import ceil
from typing import Any

import ray
from ray.exceptions import RayError

from agents.engines.protocol import EngineError

log = logging.getLogger("maft.runners")

PROBE_SECONDS = 1.0
"""The pause between two probes of the head."""
LOST_SECONDS = 10.0
"""A head that answers no probe for so long is lost. After 60 s without it, Ray would end this process."""


class ClusterLostError(EngineError, ConnectionError):
    """The head of the cluster cannot be reached. A task that fails with this is tried again."""

    def __init__(self, address: str | None, error: Exception) -> None:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        super().__init__(
            f"runner.address {address or 'of this machine'}: the Ray cluster cannot be reached: {why}; start its head "
            "with `maft cluster head`, make this machine a node with `maft cluster join`, and give both the same token "
            "(RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token)"
        )


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
    # Ray prints what its daemons report to standard output, where the output of a command is; `pool` logs the losses.
    ray._private.worker._worker_logs_enabled = False
    quiet: Any = {"log_to_driver": False, "logging_level": "CRITICAL"}
    if address is None:
        ray.init(address="local", num_cpus=ceil(cpus), include_dashboard=False, **quiet)
        return
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            probe(address)
            ray.init(address=address, **quiet)
        except (OSError, RuntimeError, RayError) as error:
            if time.monotonic() > deadline:
                raise
            log.info("waiting for the Ray cluster at %s: %s", address, str(error).strip().splitlines()[0])
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
