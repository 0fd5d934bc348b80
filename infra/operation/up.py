"""Starts everything that a home needs: servers, deployments, and a worker that runs triggered and scheduled flows.

Prefect is not imported here, so a second `operate` is quick; it changes nothing.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from infra.errors import UserError
from infra.home.home import Home
from infra.home.store import VARIABLE as STORE_VARIABLE
from infra.home.store import check_store
from infra.operation import processes, servers
from infra.operation.deployments import deploy
from infra.operation.environment import MLFLOW_DATABASE, PREFECT_DATABASE, client_environment, named_stores
from infra.operation.notices import POOL, WEBHOOK_VARIABLE
from infra.operation.prefect_api import connect
from infra.operation.servers import WORKER, Servers
from infra.operation.worker import worker_name


@dataclass(frozen=True)
class WorkerStatus:
    """The state of a home's worker; `pid` and `since` (ISO 8601, UTC) are its supervisor's, None if none runs."""

    name: str
    pid: int | None
    running: bool
    online: bool
    """Whether the Prefect server has heard from it."""
    since: str | None


def operate(home: Home, say: Callable[[str], None]) -> Servers:
    """Start the servers and the worker, register the deployments, and wait until all is ready; repeating is harmless.

    Args:
        say: called with lines for the user about steps that take time.

    Raises:
        UserError: as in `servers.up` and `deployments.deploy`, or the worker did not start.
        StoreError: as in `check_store`.
    """
    check_store()
    found = servers.up(home, say)
    with processes.locked(home, say):
        deploy(home, found, say)
        records = processes.read_records(home)
        record = records.get(WORKER)
        # A worker of another server or store is replaced.
        uses = found.prefect_api_url, named_stores([STORE_VARIABLE])
        if record is None or (record.url, record.stores) != uses or processes.leader(home, WORKER, record) is None:
            say(f"starting the worker (log file in {home.logs})")
            processes.stop(processes.members(home, WORKER, record))
            command, environment = worker_command(home, found)
            started = processes.start(home, WORKER, command, environment, 0, found.prefect_api_url)
            records[WORKER] = replace(started, stores=named_stores([STORE_VARIABLE]))
            processes.write_records(home, records)
        _wait(home, found)
    return found


def operate_at_any_worker(home: Home, say: Callable[[str], None]) -> Servers:
    """Do the same as `operate`, but start no worker if the server has one already, such as that of a container.

    Raises:
        UserError, StoreError: as in `operate`.
    """
    check_store()
    found = servers.up(home, say)
    with processes.locked(home, say):
        deploy(home, found, say)
    with connect(found.prefect_api_url) as api:
        if _online(api):
            return found
    return operate(home, say)


def worker_lacks(home: Home, names: Iterable[str]) -> list[str]:
    """The environment variables, of these names, that the home's worker lacks; none if another worker does the work.

    The worker has the variables of the shell that started it, and so have the runs that it starts.
    """
    worker = processes.leader(home, WORKER, processes.read_records(home).get(WORKER))
    if worker is None:
        return []
    there = worker.environ()
    return sorted(name for name in names if name not in there)


def worker_command(home: Home, found: Servers) -> tuple[list[str], dict[str, str]]:
    """The command of a home's worker, which must run in the home folder, and its environment variables."""
    environment = client_environment(home, found.prefect_api_url, found.mlflow_tracking_uri)
    # Flow runs do not need the secrets of servers. The worker asks for runs every 3 s, so they start soon.
    for secret in (WEBHOOK_VARIABLE, PREFECT_DATABASE, MLFLOW_DATABASE):
        environment.pop(secret, None)
    environment = {"PREFECT_WORKER_QUERY_SECONDS": "3", "PYTHONUNBUFFERED": "1", **environment}
    # A deployment has no path of a machine; its command `python` is this Python.
    folders = str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)
    environment["PATH"] = os.pathsep.join(folders)
    return [sys.executable, "-m", "infra.operation.worker"], environment


def worker_status(home: Home) -> WorkerStatus:
    """The present state of the worker. Starts, stops and writes nothing.

    Raises:
        UserError: servers.json is damaged.
    """
    record = processes.read_records(home).get(WORKER)
    name = worker_name(home)
    if record is None or processes.leader(home, WORKER, record) is None:
        return WorkerStatus(name, None, False, False, None)
    try:
        with connect(record.url) as api:
            online = hears(api, name)
    except httpx.HTTPError:
        online = False
    return WorkerStatus(name, record.pid, True, online, record.started)


def hears(api: httpx.Client, name: str) -> bool:
    """Whether the Prefect server has heard from this worker lately."""
    return name in _online(api)


def _online(api: httpx.Client) -> set[str]:
    """The names of the workers from which the Prefect server has heard lately."""
    wanted = {"workers": {"status": {"any_": ["ONLINE"]}}}
    return {worker["name"] for worker in api.post(f"/work_pools/{POOL}/workers/filter", json=wanted).json()}


def _wait(home: Home, found: Servers) -> None:
    """Wait until the server has heard from the worker."""
    deadline = time.monotonic() + servers.START_SECONDS
    with connect(found.prefect_api_url) as api:
        while not hears(api, worker_name(home)):
            if processes.leader(home, WORKER, processes.read_records(home).get(WORKER)) is None:
                raise UserError(f"the worker ended while it started; {processes.log_tail(home, WORKER)}")
            if time.monotonic() > deadline:
                raise UserError(
                    f"the Prefect server heard nothing from the worker within {servers.START_SECONDS:.0f} s; run "
                    f"`maft down`, then try again; {processes.log_tail(home, WORKER)}"
                )
            time.sleep(0.2)
