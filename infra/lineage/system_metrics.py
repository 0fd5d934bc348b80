"""Logs a job's use of its machine (processors, memory, disk, network, GPUs) to its MLflow run."""

from collections.abc import Iterator
from contextlib import contextmanager

from infra.lineage.client import client

INTERVAL_SECONDS = 10.0


@contextmanager
def watched(run_id: str) -> Iterator[None]:
    """Log system metrics to a run every INTERVAL_SECONDS inside the `with` block.

    A resumed job continues the steps of its earlier metrics. If the server does not answer, the logging ends with a
    warning and the work goes on. GPUs are measured if the package nvidia-ml-py is installed.
    MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL sets another interval, in seconds.

    Args:
        run_id: Id of a run with status RUNNING; the logging ends when the run ends.
    """
    tracking_uri = client().tracking_uri
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, INTERVAL_SECONDS, resume_logging=True, tracking_uri=tracking_uri)  # type: ignore[no-untyped-call]
    monitor.start()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        monitor.finish()  # type: ignore[no-untyped-call]
