"""The Prefect server's process: garbage does not stop its event loop."""

import subprocess
import sys
from pathlib import Path

import pytest

# As Prefect's server comes to it: a connection's thread waits for the database's lock, which another connection has,
# while a cursor of the first, whose statement failed, is garbage. Whoever clears the cursor waits for its
# connection; if that is the main thread, which would give the lock back, both wait until SQLite gives up.
CODE = """if True:
    import sqlite3, sys, threading, time
    from infra.prefect_server import collect_garbage_aside

    if sys.argv[1] == "aside":
        collect_garbage_aside()
    path = sys.argv[2]
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE t (x UNIQUE)")
    writer.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(10)])
    waiter = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)

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


@pytest.mark.parametrize(("where", "outcome"), [("aside", "written"), ("in the main thread", "database is locked")])
def test_garbage_does_not_stop_the_event_loop(where: str, outcome: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, where, str(tmp_path / "db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == outcome, done.stderr
