"""The supervisor of a home's worker: starts `prefect worker` again whenever that ends, and accounts for its runs.

    python -m infra.operation.worker

A flow run lives no longer than its worker, which alone could cancel it or see it end. When a worker has ended, what it
left behind is killed and its unfinished runs are marked as crashed at once, as the worker itself does for a run whose
process ends; the automation starts each of them again, once. When the supervisor is asked to end, it leaves the runs
waiting instead: they go on when a worker of this home is up again. Finished tasks are never lost by a kill.
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
from infra.operation.automations import POOL
from infra.operation.prefect_api import connect
from infra.operation.servers import WORKER

FIRST_DELAY_SECONDS, LAST_DELAY_SECONDS = 1.0, 60.0
"""Before a worker that ended is started again: doubled each time, until one has lived for the last."""

ACTIVE = ["PENDING", "RUNNING", "CANCELLING"]
LOST = "The worker of this run ended, and the run with it."
STOPPED = "Stopped by `maft down`; goes on after `maft up`."

_PR_SET_PDEATHSIG = 1


def worker_name(home: Home) -> str:
    """The same for every worker of a home, and another for any other home, wherever it is."""
    digest = hashlib.sha256(f"{socket.gethostname()}:{home.path}".encode()).hexdigest()
    return f"maft-{digest[:8]}"


def supervise(home: Home, api: httpx.Client) -> None:
    """Keep a worker running, for ever."""
    command = ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", worker_name(home)]
    kernel = ctypes.CDLL(None) if sys.platform == "linux" else None
    with_parent = (lambda: kernel.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)) if kernel else None
    delay = 0.0
    while True:
        end_family(home)
        try:
            account_for_runs(home, api, restart=False)
        except httpx.HTTPError as error:
            _say(f"no answer from the Prefect server ({error!r}); tried again in {LAST_DELAY_SECONDS:.0f} s at most")
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
    """Kill what carries the worker's mark, except this process. Its runs say nothing more to the server then."""
    family = [process for process in processes.members(home, WORKER, None) if process.pid != os.getpid()]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=processes.STOP_SECONDS)


def account_for_runs(home: Home, api: httpx.Client, restart: bool) -> None:
    """Tell the Prefect server what became of the unfinished runs of this home's worker, which has ended.

    Args:
        restart: they wait for the next worker; else they have crashed, which the automation follows up.
    """
    name = worker_name(home)
    with suppress(httpx.HTTPStatusError):
        # Its last heartbeat would let it pass for a living one for minutes.
        api.delete(f"/work_pools/{POOL}/workers/{name}")
    runs = _flow_runs(api, work_pools={"name": {"any_": [POOL]}})
    # A run that was handed out only just now has no label yet.
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
    """The subflows and tasks of a run that ended, from the innermost out."""
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
    # A task's state is its own process's business, so that the server follows another only when forced.
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
            account_for_runs(home, api, restart=True)  # Without a server to tell, the next supervisor does it.


if __name__ == "__main__":
    main()
