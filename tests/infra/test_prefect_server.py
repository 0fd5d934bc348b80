"""The Prefect server of a home: automations act once on each event, and garbage collection does not stop it."""

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.events.actions import DoNothing
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from infra.operation.prefect_api import PrefectApi, connect
from tests.conftest import Maft

EVENTS = 30
EACH = {"match": {"prefect.resource.id": "test.once.*"}, "for_each": {"prefect.resource.id"}, "threshold": 1}
ACTS = EventTrigger(**EACH, posture=Posture.Reactive, expect={"test.end"}, within=timedelta(0))  # type: ignore[arg-type]
# A trigger that waits reads its state before it writes.
WAITS = EventTrigger(  # type: ignore[call-arg]
    **EACH,
    posture=Posture.Proactive,
    after={"test.begin"},
    expect={"test.end"},
    within=timedelta(hours=1),  # type: ignore[arg-type]
)

# This makes the deadlock of Prefect's server. The thread of one connection waits for the database lock, which another
# connection holds, while a cursor of the first connection, whose statement failed, is garbage. The thread that
# collects the cursor waits for the first connection. If it is the main thread, which should release the lock, both
# wait until SQLite gives up.
CODE = """if True:
    import sqlite3, sys, threading, time
    from infra.operation.prefect_server import collect_garbage_aside

    if sys.argv[1] == "aside":
        collect_garbage_aside()
    path = sys.argv[2]
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE t (x UNIQUE)")
    writer.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(10)])
    waiter = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=float(sys.argv[3]))

    class Cursor(sqlite3.Cursor):
        pass

    garbage = waiter.cursor(Cursor)
    garbage.itself = garbage
    try:
        garbage.execute("INSERT INTO t VALUES (1)")
    except sqlite3.IntegrityError:
        pass
    writer.execute("BEGIN IMMEDIATE")

    def begin():
        global outcome
        try:
            waiter.execute("INSERT INTO t VALUES (10)")
            outcome = "written"
        except sqlite3.OperationalError as error:
            outcome = str(error)

    thread = threading.Thread(target=begin)
    thread.start()
    time.sleep(0.5)
    del garbage
    churn = [[] for _ in range(1_000_000)]  # Enough to have all generations collected.
    time.sleep(1.5)
    writer.execute("COMMIT")
    thread.join()
    print(outcome)
"""


def put(api: PrefectApi, name: str, trigger: EventTrigger) -> str:
    wanted = AutomationCore(name=name, trigger=trigger, actions=[DoNothing()])
    return str(api.post("/automations/", json=wanted.model_dump(mode="json")).json()["id"])


def emit(api: PrefectApi, name: str) -> None:
    now = datetime.now(UTC).isoformat()
    resources = [{"prefect.resource.id": f"test.once.{number}"} for number in range(EVENTS)]
    fields: dict[str, Any] = {"event": name, "occurred": now, "payload": {}}
    api.post("/events", json=[{**fields, "id": str(uuid.uuid4()), "resource": resource} for resource in resources])


def times(api: PrefectApi, automation: str) -> int:
    wanted = {
        "event": {"name": ["prefect.automation.triggered"]},
        "resource": {"id": [f"prefect.automation.{automation}"]},
    }
    return int(api.post("/events/filter", json={"filter": wanted}).json()["total"])


@contextmanager
def others_write(url: str) -> Iterator[None]:
    done = threading.Event()

    def write() -> None:
        with connect(url) as api:
            while not done.wait(0.05):
                api.post("/variables/", json={"name": f"once_{uuid.uuid4().hex}", "value": 1})

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        done.set()
        for writer in writers:
            writer.join()


def test_an_automation_acts_once_on_each_event(maft: Maft) -> None:
    url = maft.environment["PREFECT_API_URL"]
    with connect(url) as api:
        acting = [put(api, f"acts {number}", ACTS) for number in range(3)]
        waiting = [put(api, f"waits {number}", WAITS) for number in range(3)]
        with others_write(url):
            emit(api, "test.begin")
            emit(api, "test.end")
            deadline = time.monotonic() + 600
            while any(times(api, each) < EVENTS for each in acting) and time.monotonic() < deadline:
                time.sleep(0.5)
            time.sleep(5)  # A repetition would come within seconds.
        found = [times(api, each) for each in acting]
        for each in acting + waiting:
            api.delete(f"/automations/{each}")
    assert found == [EVENTS] * 3


@pytest.mark.parametrize(
    ("where", "outcome", "patience"), [("aside", "written", 60), ("in the main thread", "database is locked", 5)]
)
def test_garbage_does_not_stop_the_event_loop(where: str, outcome: str, patience: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, where, str(tmp_path / "db"), str(patience)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == outcome, done.stderr
