"""System metrics of a job's run on a real MLflow server."""

import threading
import time

import pytest

from infra.lineage.client import client
from infra.lineage.system_metrics import watched
from tests.conftest import free_port
from tests.infra.lineage_samples import a_job, points

CPU = "system/cpu_utilization_percentage"
MEMORY = "system/system_memory_usage_megabytes"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")


def watch_until(run_id: str, count: int) -> None:
    with watched(run_id):
        deadline = time.monotonic() + 600
        while len(points(run_id, MEMORY)) < count:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def monitors() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "SystemMetrics" in thread.name]


def test_metrics_are_logged_while_the_job_works_and_go_on_when_it_is_resumed(tracking: str) -> None:
    run_id = a_job("watched").run_id
    watch_until(run_id, 2)
    assert monitors() == []
    before = points(run_id, MEMORY)
    assert all(value > 100 for _, value in before)
    a_job("watched")
    watch_until(run_id, len(before) + 2)
    steps = [step for step, _ in points(run_id, MEMORY)]
    assert steps == list(range(len(steps)))
    assert len(points(run_id, CPU)) == len(steps)
    assert client().get_run(run_id).info.status == "RUNNING"


def test_an_error_of_the_job_passes_and_ends_the_watch(tracking: str) -> None:
    with pytest.raises(KeyError, match="the job's"), watched(a_job("failing").run_id):
        raise KeyError("the job's")
    assert monitors() == []


def test_a_server_that_is_away_does_not_disturb_the_job(tracking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = a_job("away").run_id
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    with watched(run_id):
        worked = True
    assert worked and monitors() == []
