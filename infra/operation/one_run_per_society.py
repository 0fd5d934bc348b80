"""Allows one run of a society at a time, across all deployments and `maft run` commands of a Prefect server.

A run holds the only slot of a global concurrency limit of Prefect, `society-NAME`, by a lease that it keeps renewing.
A note in the home says which process holds the lease. If that process was killed, the next run in the same home ends
the lease at once. A run in another home waits until the lease ends by itself, LEASE_SECONDS and a few seconds after
the kill. So a second run never starts beside a run that only seems to be dead.
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
from infra.operation.flow_run import WAITS, at_work, page, present_run, rename, society_tag, tag_run

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

LEASE_SECONDS = 60.0
"""Duration of a lease, the shortest that Prefect allows. Prefect renews it in a thread after three quarters of this."""


class SocietyBusy(Exception):
    """Another run of the society is running."""


@contextmanager
def one_run_per_society(society: str, wait: bool) -> Iterator[None]:
    """Hold the slot of this society inside the `with` block.

    Args:
        society: the society's name.
        wait: whether to wait for another run, without limit; the log and the flow run's name then say for which.

    Raises:
        SocietyBusy: another run is running, and `wait` is false. A run that was killed and started again first waits
            1.5 LEASE_SECONDS even then, since the lease may be its own.
        prefect.concurrency.asyncio.ConcurrencySlotAcquisitionError: the Prefect server refused.
    """
    name, run = f"society-{society}", present_run()
    tag_run(society_tag(society))
    note = current_home().slots / f"{society}.json"
    _give_back(note)
    killed_before = run is not None and run.run_count > 1
    with ExitStack() as held:
        # Prefect logs an error for each refused attempt, so look first; only the attempt itself is certain.
        if _slots_taken(name) or not _take(held, name, max_retries=0):
            if not (wait or killed_before):
                raise SocietyBusy(_busy(society))
            with _waiting(society, run):
                if not _take(held, name, timeout_seconds=None if wait else 1.5 * LEASE_SECONDS):
                    raise SocietyBusy(_busy(society))
        _write(note)
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


def _write(note: Path) -> None:
    """Note which leases this process holds."""
    from prefect.concurrency.context import ConcurrencyContext

    context = ConcurrencyContext.get()
    leases = [str(lease) for lease in context.cleanup_lease_ids] if context else []
    created = psutil.Process().create_time()
    held = {"pid": os.getpid(), "create_time": created, "leases": leases}
    write_whole(note, json.dumps(held).encode())


def _give_back(note: Path) -> None:
    """End the leases in the note if their process is dead; the server ignores a lease that has ended already."""
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
    """Try to take the slot within the limits; if it is taken, closing the stack gives it back.

    Returns:
        Whether the slot was taken.
    """
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
    """How many runs hold a slot of the limit of this name; the limit is created if it is missing."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError

    with get_client(sync_client=True) as client:
        try:
            return client.read_global_concurrency_limit_by_name(name).active_slots
        except ObjectNotFound:
            pass
        # Another run may create the limit first. If creating it failed for another reason, the next call raises.
        with suppress(ObjectAlreadyExists, PrefectHTTPStatusError):
            client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
        return client.read_global_concurrency_limit_by_name(name).active_slots


def _busy(society: str) -> str:
    """Which run of the society is at work, as a sentence."""
    other = at_work(society)
    which = f": {other['name']}, {page(other['id'])}" if other else ""
    return f"another run of society {society!r} is at work{which}"


@contextmanager
def _waiting(society: str, run: "FlowRun | None") -> Iterator[None]:
    """Say in the log and in the flow run's name, which lists of runs show, for which run this one waits."""
    from prefect.logging import get_run_logger

    if run is None:
        yield
        return
    name, logger, other = run.name.partition(WAITS)[0], get_run_logger(), at_work(society)
    logger.warning("waiting: %s", _busy(society))
    rename(run.id, f"{name}{WAITS}{other['name'] if other else 'another run'}")
    try:
        yield
    finally:
        rename(run.id, name)
    logger.info("its turn: no other run of society %r is at work", society)
