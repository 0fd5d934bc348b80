"""The Prefect command, for a server whose automations act once on each event.

    python -m infra.operation.prefect_server server start

On SQLite, Prefect evaluates a trigger in a transaction that reads before it writes. Where another write came between,
that fails with "database is locked" (https://github.com/PrefectHQ/prefect/issues/18934), the event is taken again, and
what had acted on it acts again; after four times the event is lost. So a webhook was called four times for one failed
run, and another crash was not told of at all. A transaction that is for writing from its beginning waits its turn.

Nor does it stand still for a minute. A statement that failed leaves its cursor to Python's garbage collector, which
runs in whatever thread allocates, as a rule the event loop's. To clear a cursor it waits for the cursor's connection;
where that waits for the database's lock, which another request holds that needs the event loop to go on, all three
waited until SQLite gave up: 60 s. So garbage is collected in a thread of its own, which may wait.
"""

import gc
import itertools
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.cli import app
from prefect.server.database import provide_database_interface
from prefect.server.events import triggers
from sqlalchemy.ext.asyncio import AsyncSession

FULL_SECONDS = 30
"""Between collections of all generations; the younger ones are collected every second."""


@asynccontextmanager
async def _writing_session(begin_transaction: bool = False) -> AsyncGenerator[AsyncSession, None]:
    database = provide_database_interface()
    async with database.session_context(begin_transaction, with_for_update=begin_transaction) as session:
        yield session


def collect_garbage_aside() -> None:
    """Collect no garbage from now on but in a thread for it."""
    gc.disable()
    threading.Thread(target=_collect, name="garbage", daemon=True).start()


def _collect() -> None:
    for second in itertools.count(1):
        time.sleep(1.0)
        gc.collect(1 if second % FULL_SECONDS else 2)


def main() -> None:
    """Run the Prefect command with the arguments of this one."""
    collect_garbage_aside()
    triggers.automations_session = _writing_session  # type: ignore[assignment, attr-defined]
    app()


if __name__ == "__main__":
    main()
