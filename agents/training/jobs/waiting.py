"""Waits until a service is ready, for no longer than the settings allow."""

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from agents.engines.protocol import EngineError

if TYPE_CHECKING:
    from agents.hosted.http import Server

T = TypeVar("T")


def wait_for(  # noqa: PLR0913, two times and two functions
    server: "Server", look: Callable[[], T], ready: Callable[[T], bool], *, what: str, every: float, hours: float
) -> T:
    """What `look` returns as soon as it is `ready`.

    Args:
        server: whose `stop` ends the wait.
        look: asks the service.
        ready: whether the answer is the last one.
        what: what is waited for, for the message.
        every: seconds between two looks; a tenth more or less, so that agents do not ask at the same moment.
        hours: the longest wait.

    Raises:
        EngineError: it was not ready in time.
        StoppedError: after `server.stop`.
    """
    until = time.monotonic() + 3600 * hours
    while not ready(found := look()):
        if time.monotonic() > until:
            raise EngineError(
                f"{server.section}.url {server.url}: {what} is not ready after {hours:g} h; it goes on there, and the "
                f"same command takes it up; raise {server.section}.longest_hours to wait longer"
            )
        # Not `random` itself, which a caller may have seeded.
        server.pause(every * random.SystemRandom().uniform(0.9, 1.1))
    return found
