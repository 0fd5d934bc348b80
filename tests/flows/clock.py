"""Nights of a society that follow each other without a pause, each as a worker would run it. Called in a fork."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from infra.home.home import Home
from infra.operation.environment import apply_environment

DAY_SECONDS = 24 * 3600.0


def deploy(home: str, society: str, cron: str) -> None:
    """Make the deployment `nightly` with a schedule that is off, since these nights are started by hand."""
    _enter(home)
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    from flows.nightly import nightly

    schedule = DeploymentScheduleCreate(schedule=CronSchedule(cron=cron, timezone="UTC"), active=False)
    with get_client(sync_client=True) as client:
        client.create_deployment(
            client.create_flow(nightly),
            "nightly",
            schedules=[schedule],
            parameters={"config": {"society": society}},
        )


def live(home: str, nights: str) -> None:
    """Run nights one after the other; before each, a day passes for the files of the home.

    Args:
        home: the home.
        nights: JSON, a list of pairs: when the night is due, and its config.
    """
    place = _enter(home)
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import Pending, Scheduled

    from flows.nightly import nightly

    for due, config in json.loads(nights):
        _age(place)
        at = datetime.fromisoformat(due)
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name("nightly/nightly")
            run = client.create_flow_run_from_deployment(
                deployment.id, parameters={"config": config}, state=Scheduled(scheduled_time=at)
            )
            # Otherwise the run would wait until that time.
            client.set_flow_run_state(run.id, Pending(), force=True)
            run = client.read_flow_run(run.id)
        run_flow(nightly, flow_run=run, parameters=run.parameters, return_type="state")


def crash(home: str, run: str) -> None:
    """Tell the server that the process of a run is gone, as a worker does."""
    _enter(home)
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run), Crashed(message="the process was killed"), force=True)


def _enter(home: str) -> Home:
    place = Home.open(home)
    apply_environment(place, os.environ["PREFECT_API_URL"], os.environ["MLFLOW_TRACKING_URI"])
    return place


def _age(home: Home) -> None:
    files: list[Any] = [*home.results.iterdir(), *home.artifacts.rglob("*")]
    for file in map(Path, files):
        then = file.lstat().st_mtime - DAY_SECONDS
        os.utime(file, (then, then), follow_symlinks=False)
