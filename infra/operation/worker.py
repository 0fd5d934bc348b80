"""Supervises a home's worker: starts `prefect worker` again when it ends, and sets the state of its unfinished runs.

    python -m infra.operation.worker

Only its worker can cancel a flow run or notice that it ended, so a flow run must not outlive its worker. When a worker
has ended, the supervisor kills the processes that it left behind and marks its unfinished runs as crashed; an
automation starts each of these runs again, once. When the supervisor itself is asked to end, it schedules the
unfinished runs instead, and they continue when a worker of this home is up again. A kill never loses finished tasks.
"""

import ctypes
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import httpx
import psutil

from infra.home.home import Home, current_home
from infra.operation import processes
from infra.operation.environment import RECORD_SECONDS
from infra.operation.notices import POOL
from infra.operation.prefect_api import connect
from infra.operation.servers import WORKER

FIRST_DELAY_SECONDS, LAST_DELAY_SECONDS = 1.0, 60.0
"""Waiting time before an ended worker is started again: it starts with the first value and doubles up to the last.

It starts over once a worker has lived for LAST_DELAY_SECONDS.
"""

ACTIVE = ["PENDING", "RUNNING", "CANCELLING"]
LOST = "The worker of this run ended, and the run ended with it."
STOPPED = "Stopped by `maft down`; continues after `maft up`."

_PR_SET_PDEATHSIG = 1


def worker_name(home: Home) -> str:
    """The name of every worker of a home; no other home on any machine has the same name."""
    digest = hashlib.sha256(f"{socket.gethostname()}:{home.path}".encode()).hexdigest()
    return f"maft-{digest[:8]}"


def supervise(home: Home, api: httpx.Client) -> None:
    """Keep a worker running; never returns."""
    command = ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", worker_name(home)]
    kernel = ctypes.CDLL(None) if sys.platform == "linux" else None
    with_parent = (lambda: kernel.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)) if kernel else None
    delay = 0.0
    while True:
        end_family(home)
        try:
            account_for_runs(home, api, restart=False)
        except httpx.HTTPError as error:
            _say(f"no answer from the Prefect server ({error!r}); next try within {LAST_DELAY_SECONDS:.0f} s")
            time.sleep(max(delay, FIRST_DELAY_SECONDS))
        else:
            time.sleep(delay)
            started = time.monotonic()
            worker = subprocess.Popen([sys.executable, "-m", *command], preexec_fn=with_parent)  # noqa: PLW1509
            _say(f"the worker ended with status {worker.wait()}")
            if time.monotonic() - started >= LAST_DELAY_SECONDS:
                delay = 0.0
        delay = min(max(FIRST_DELAY_SECONDS, 2 * delay), LAST_DELAY_SECONDS)


def end_family(home: Home) -> None:
    """Kill all processes with the worker's mark except this one, so that its runs send nothing more to the server."""
    family = [process for process in processes.members(home, WORKER, None) if process.pid != os.getpid()]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=processes.STOP_SECONDS)


def account_for_runs(home: Home, api: httpx.Client, restart: bool) -> None:
    """Set the state of the unfinished runs of this home's worker, which has ended, on the Prefect server.

    Args:
        restart: True schedules the runs for the next worker; False marks them as crashed, and an automation starts
            them again.
    """
    name = worker_name(home)
    with suppress(httpx.HTTPStatusError):
        # The server would take the worker for alive for minutes after its last heartbeat.
        api.delete(f"/work_pools/{POOL}/workers/{name}")
    pool = {"name": {"any_": [POOL]}}
    if _flow_runs(api, work_pools=pool):
        time.sleep(2 * RECORD_SECONDS)  # The server has not yet written a task that has only just started.
    runs = _flow_runs(api, work_pools=pool)
    # A run that the worker has only just taken has no label yet.
    ours = [run for run in runs if run["labels"].get("prefect.io/worker-name", name) == name]
    for run in ours:
        _end_inside(api, run)
        if run["state"]["type"] == "CANCELLING":
            _set(api, "flow_runs", run, "CANCELLED", "Cancelled", LOST)
        elif restart:
            _set(api, "flow_runs", run, "SCHEDULED", "AwaitingRetry", STOPPED)
        else:
            _set(api, "flow_runs", run, "CRASHED", "Crashed", LOST)
        _say(f"{'stopped' if restart else 'lost'}: {run['name']} ({run['id']})")


def _end_inside(api: httpx.Client, run: dict[str, Any]) -> None:
    """Mark the subflows and tasks of an ended run as crashed, the innermost first."""
    for subflow in _flow_runs(api, flow_runs={"parent_flow_run_id": {"any_": [run["id"]]}}):
        _end_inside(api, subflow)
        _set(api, "flow_runs", subflow, "CRASHED", "Crashed", LOST)
    tasks = {"flow_runs": {"id": {"any_": [run["id"]]}}, "task_runs": {"state": {"type": {"any_": ACTIVE}}}}
    for task in api.post("/task_runs/filter", json=tasks).json():
        _set(api, "task_runs", task, "CRASHED", "Crashed", LOST)


def _flow_runs(api: httpx.Client, **filters: Any) -> list[dict[str, Any]]:
    filters.setdefault("flow_runs", {})["state"] = {"type": {"any_": ACTIVE}}
    found: list[dict[str, Any]] = api.post("/flow_runs/filter", json=filters).json()
    return found


def _set(api: httpx.Client, kind: str, run: dict[str, Any], type_: str, name: str, message: str) -> None:
    state = {"type": type_, "name": name, "message": message}
    # The server lets only a task's own process change the state of the task, unless the change is forced.
    api.post(f"/{kind}/{run['id']}/set_state", json={"state": state, "force": kind == "task_runs"})


def _say(line: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}", flush=True)


def main() -> None:
    """Supervise until SIGTERM."""
    home = current_home()
    with connect(os.environ["PREFECT_API_URL"]) as api:

        def end(_signal: int, _frame: FrameType | None) -> None:
            raise SystemExit(0)

        signal.signal(signal.SIGTERM, end)
        try:
            supervise(home, api)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            end_family(home)
            account_for_runs(home, api, restart=True)  # If the server does not answer, the next supervisor does this.


if __name__ == "__main__":
    main()
