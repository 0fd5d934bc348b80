"""Logs what a job takes of its machine (processors, memory, disk, network, GPUs) to its MLflow run."""

from collections.abc import Iterator
from contextlib import contextmanager

from infra.lineage.client import client

INTERVAL_SECONDS = 10.0


@contextmanager
def watched(run_id: str) -> Iterator[None]:
    """Log system metrics to a run, every INTERVAL_SECONDS as long as the block works; a resumed job's go on in steps.

    A server that does not answer ends the logging, with a warning, and never the work. GPUs are seen where the package
    nvidia-ml-py is installed. MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL sets other seconds.

    Args:
        run_id: A run that is RUNNING; the logging ends with it.
    """
    tracking_uri = client().tracking_uri
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, INTERVAL_SECONDS, resume_logging=True, tracking_uri=tracking_uri)  # type: ignore[no-untyped-call]
    monitor.start()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        monitor.finish()  # type: ignore[no-untyped-call]
