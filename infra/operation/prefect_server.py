"""The Prefect command with two fixes for a server on SQLite: automations act once per event, and no 60 s standstills.

It also knows the block of `infra.operation.apprise_block`, by which the server sends e-mails.

    python -m infra.operation.prefect_server server start

Prefect evaluates a trigger in a transaction that reads before it writes. If another transaction writes in between, it
fails with "database is locked" (https://github.com/PrefectHQ/prefect/issues/18934), and Prefect processes the event
again, up to four times, then drops it. So one failed run called a webhook four times, and the crash of another run was
not reported. The fix: the transaction takes the write lock at its start, and waits for it.

A failed statement leaves its cursor to Python's garbage collector, which runs in the thread that allocates memory,
usually the thread of the event loop. To close the cursor, the collector waits for the cursor's connection, which may
wait for the database lock. If the request that holds this lock needs the event loop, all three wait until SQLite
gives up after 60 s. The fix: a separate thread collects the garbage.
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

from infra.operation.apprise_block import AppriseAddress

FULL_SECONDS = 30
"""Seconds between full garbage collections; only the younger generations are collected every second."""


@asynccontextmanager
async def _writing_session(begin_transaction: bool = False) -> AsyncGenerator[AsyncSession, None]:
    database = provide_database_interface()
    async with database.session_context(begin_transaction, with_for_update=begin_transaction) as session:
        yield session


def collect_garbage_aside() -> None:
    """From now on, collect garbage only in a thread for it."""
    gc.disable()
    threading.Thread(target=_collect, name="garbage", daemon=True).start()


def _collect() -> None:
    for second in itertools.count(1):
        time.sleep(1.0)
        gc.collect(1 if second % FULL_SECONDS else 2)


def main() -> None:
    """Run the Prefect command with this command's arguments."""
    collect_garbage_aside()
    AppriseAddress.get_block_type_slug()  # The class is known once its module is imported.
    triggers.automations_session = _writing_session  # type: ignore[assignment, attr-defined]
    app()


if __name__ == "__main__":
    main()
