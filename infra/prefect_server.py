"""The Prefect command, for a server whose automations act once on each event.

    python -m infra.prefect_server server start

On SQLite, Prefect evaluates a trigger in a transaction that reads before it writes. Where another write came between,
that fails with "database is locked" (https://github.com/PrefectHQ/prefect/issues/18934), the event is taken again, and
what had acted on it acts again; after four times the event is lost. So a webhook was called four times for one failed
run, and another crash was not told of at all. A transaction that is for writing from its beginning waits its turn.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.cli import app
from prefect.server.database import provide_database_interface
from prefect.server.events import triggers
from sqlalchemy.ext.asyncio import AsyncSession


@asynccontextmanager
async def _writing_session(begin_transaction: bool = False) -> AsyncGenerator[AsyncSession, None]:
    database = provide_database_interface()
    async with database.session_context(begin_transaction, with_for_update=begin_transaction) as session:
        yield session


def main() -> None:
    """Run the Prefect command with the arguments of this one."""
    triggers.automations_session = _writing_session  # type: ignore[assignment]
    app()


if __name__ == "__main__":
    main()
