"""The progress of a long step on its run's page in Prefect."""

import subprocess
import sys

import httpx
import pytest

from tests.conftest import Maft

pytestmark = pytest.mark.slow
SLOW_STEP = """
from prefect import flow, task
from prefect.client.orchestration import get_client
from infra.home import progress

progress.UI_SECONDS = 0.0

@task
def step():
    with progress.progress("a step") as tell:
        tell(1, 4)
        ((run, artifact),) = progress._artifacts.items()
        with get_client(sync_client=True) as client:
            client.delete_artifact(artifact)
        tell(2, 4)
        return str(run)

@flow
def job():
    return step()

print(job())
"""


def test_a_deleted_progress_artifact_is_made_again(maft: Maft) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SLOW_STEP], env=maft.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    run = done.stdout.splitlines()[-1]
    wanted = {"artifacts": {"flow_run_id": {"any_": [run]}}}
    found = httpx.post(f"{maft.environment['PREFECT_API_URL']}/artifacts/filter", json=wanted).json()
    assert [each["data"] for each in found] == [100.0]
    assert found[0]["description"].startswith("a step: ")
