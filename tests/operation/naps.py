"""A flow with a subflow and a task, as maft's flows have, that only sleeps; each start writes a line to a file."""

import os
import signal
import time
from pathlib import Path

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Cancelled

from infra.operation.one_run_per_society import SocietyBusy, one_run_per_society


@task(task_run_name="rest")
def rest(journal: str, seconds: list[float], fault: str) -> None:
    with Path(journal).open("a") as file:
        file.write(f"{os.getpid()}\n")
    end = time.monotonic() + seconds[min(len(starts(journal)), len(seconds)) - 1]
    while time.monotonic() < end and not woken(journal).exists():
        time.sleep(0.2)
    if fault == "fails":
        raise ValueError('<no "rest">')
    if fault == "dies":
        os.kill(os.getpid(), signal.SIGKILL)


def woken(journal: str | Path) -> Path:
    """The file that ends the sleep when it appears."""
    return Path(journal).with_suffix(".woken")


def starts(journal: str) -> list[int]:
    return [int(pid) for pid in Path(journal).read_text().split()] if Path(journal).exists() else []


@flow(name="inner")
def inner(journal: str, seconds: list[float], fault: str) -> None:
    rest(journal, seconds, fault)


@flow(name="nap")
def nap(journal: str, seconds: list[float], fault: str = "", society: str = "", wait: bool = True) -> State | None:
    """Sleep for seconds[0] at the first start, seconds[1] at the second, and so on."""
    if not society:
        return inner(journal, seconds, fault)
    try:
        with one_run_per_society(society, wait):
            return inner(journal, seconds, fault)
    except SocietyBusy as busy:
        return Cancelled(message=str(busy))


if __name__ == "__main__":
    # This starts the flow without a deployment, as `maft run` does. The automations watch flows of these names.
    inner = inner.with_options(name="iterate")
    nap.with_options(name="improve")(os.environ["JOURNAL"], [600.0])
