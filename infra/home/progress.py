"""Reports the progress of long steps to listeners in this process (the terminal) and to the Prefect UI."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext

UI_SECONDS = 3.0
"""A step that lasts longer than this is shown in the Prefect UI, which is updated at this interval."""


Listener = Callable[[str, int, int], None]
"""A function that is called with the progress of every step of this process: label, done, total."""

listeners: list[Listener] = []


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Give the callback that a long step calls with (done, total).

    Args:
        label: iteration and stage, such as `iteration 2 · debate · round 2`.
    """
    started = heard = time.monotonic()
    artifact = None
    state = (0, 1)

    def tell(done: int, total: int) -> None:
        nonlocal heard, artifact, state
        state = (done, total)
        for listener in listeners:
            listener(label, done, total)
        now = time.monotonic()
        if now - heard < UI_SECONDS or TaskRunContext.get() is None:
            return
        heard = now
        percent = 100.0 * done / max(1, total)
        if artifact is None:
            artifact = create_progress_artifact(percent, description=label)
        else:
            update_progress_artifact(artifact, percent)

    tell(0, 1)
    yield tell
    if state[0] < state[1]:
        tell(state[1], state[1])
    if artifact is not None:
        update_progress_artifact(artifact, 100.0, f"{label}: {time.monotonic() - started:.0f} s")  # type: ignore[arg-type]
