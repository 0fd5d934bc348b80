"""At most one run of a society at a time, over all deployments and `maft run`s of a Prefect server.

The slot is a global concurrency limit of Prefect, `society-NAME`, held by a lease that the run keeps renewing. The home
has a note of who holds it, so that the next run there gives back at once what a killed one held. Elsewhere, a run that
is killed renews nothing, and its slot is free again within LEASE_SECONDS and a few more; until then the killed run
itself waits too, when it is started again. So a run that was given up too early, and lives, is never joined by a
second one.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import psutil

from evaluation.files import write_whole
from infra.home.home import current_home

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

LEASE_SECONDS = 60.0
"""The least that Prefect allows. It renews a lease after three quarters of this, in a thread of its own."""

WAITS = " · waits for its turn"
"""Follows the name of a flow run for as long as it waits."""


class SocietyBusy(Exception):
    """Another run of the society is at work."""


@contextmanager
def one_run_per_society(society: str, wait: bool) -> Iterator[None]:
    """Be the only run of this society inside the `with` block.

    Args:
        society: its name.
        wait: for another run to end, for as long as it takes; the log and the flow run's name say so meanwhile.

    Raises:
        SocietyBusy: another run is at work, and `wait` is false. A run that was killed and started again waits all the
            same, for 1.5 LEASE_SECONDS: the lease may be its own.
        prefect.concurrency.asyncio.ConcurrencySlotAcquisitionError: the Prefect server refused.
    """
    name, run = f"society-{society}", _flow_run()
    note = current_home().slots / f"{society}.json"
    _give_back(note)
    killed_before = run is not None and run.run_count > 1
    with ExitStack() as held:
        # The look spares Prefect's log an error for each refusal; the try is what counts.
        if _slots_taken(name) or not _take(held, name, max_retries=0):
            if not (wait or killed_before):
                raise SocietyBusy(f"another run of society {society!r} is at work")
            with _waiting(society, run):
                if not _take(held, name, timeout_seconds=None if wait else 1.5 * LEASE_SECONDS):
                    raise SocietyBusy(f"another run of society {society!r} is at work")
        _write(note)
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


def _write(note: Path) -> None:
    """Which lease this process holds."""
    from prefect.concurrency.context import ConcurrencyContext

    context = ConcurrencyContext.get()
    leases = [str(lease) for lease in context.cleanup_lease_ids] if context else []
    created = psutil.Process().create_time()
    held = {"pid": os.getpid(), "create_time": created, "leases": leases}
    write_whole(note, json.dumps(held).encode())


def _give_back(note: Path) -> None:
    """End the leases of a process of this home that is no more; of one that ended already the server knows nothing."""
    from prefect.client.orchestration import get_client

    try:
        held = json.loads(note.read_text())
    except FileNotFoundError:
        return
    with suppress(psutil.NoSuchProcess):
        holder = psutil.Process(held["pid"])
        same = abs(holder.create_time() - held["create_time"]) < 1.0
        if same and holder.status() != psutil.STATUS_ZOMBIE:
            return
    with get_client(sync_client=True) as client:
        for lease in held["leases"]:
            client.release_concurrency_slots_with_lease(UUID(lease))
    note.unlink(missing_ok=True)


def _take(held: ExitStack, name: str, **limits: Any) -> bool:
    """Whether the slot was free within the limits; it is held until the stack is closed then."""
    from prefect.concurrency.asyncio import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
    from prefect.concurrency.sync import concurrency

    try:
        held.enter_context(concurrency(name, lease_duration=LEASE_SECONDS, strict=True, **limits))
    except AcquireConcurrencySlotTimeoutError:
        return False
    except ConcurrencySlotAcquisitionError as error:
        reply = error.__cause__
        if isinstance(reply, httpx.HTTPStatusError) and reply.response.status_code == httpx.codes.LOCKED:
            return False
        raise
    return True


def _slots_taken(name: str) -> int:
    """How many hold the limit of this name, which is created where it is missing."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError

    with get_client(sync_client=True) as client:
        try:
            return client.read_global_concurrency_limit_by_name(name).active_slots
        except ObjectNotFound:
            pass
        # Another run may be faster; if none was, the next call says what is wrong.
        with suppress(ObjectAlreadyExists, PrefectHTTPStatusError):
            client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
        return client.read_global_concurrency_limit_by_name(name).active_slots


def _flow_run() -> "FlowRun | None":
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return context.flow_run if context else None


@contextmanager
def _waiting(society: str, run: "FlowRun | None") -> Iterator[None]:
    """Say so in the log and in the name of the flow run, which is what lists of runs show."""
    from prefect.client.orchestration import get_client
    from prefect.logging import get_run_logger

    if run is None:
        yield
        return
    name, logger = run.name.removesuffix(WAITS), get_run_logger()
    logger.warning("waiting: another run of society %r is at work", society)
    with get_client(sync_client=True) as client:
        client.update_flow_run(run.id, name=name + WAITS)
        try:
            yield
        finally:
            client.update_flow_run(run.id, name=name)
    logger.info("its turn: no other run of society %r is at work", society)
