"""The connection to a Ray cluster, or a cluster of this machine alone."""

from math import ceil
from typing import Any

import ray

from agents.engines.protocol import EngineError


class ClusterLostError(EngineError, ConnectionError):
    """The head of the cluster cannot be reached. A task that fails with this is tried again."""

    def __init__(self, address: str | None, error: Exception) -> None:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        super().__init__(
            f"runner.address {address or 'of this machine'}: the Ray cluster cannot be reached: {why}; start its head, "
            "and make this machine a node of it"
        )


def connect(address: str | None, *, cpus: float) -> None:
    """Make this process a driver of the cluster, unless it is one already.

    Args:
        address: HOST:PORT of the head; None for a cluster of this machine alone, which ends with this process.
        cpus: the number of CPUs of such a cluster.

    Raises:
        ConnectionError, RayError: there is no such cluster, or its token is another one.
    """
    if ray.is_initialized():
        return
    quiet: Any = {"log_to_driver": False, "logging_level": "ERROR"}
    if address:
        ray.init(address=address, **quiet)
    else:
        ray.init(address="local", num_cpus=ceil(cpus), include_dashboard=False, **quiet)
