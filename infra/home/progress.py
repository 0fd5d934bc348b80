"""Reports the progress of long steps to listeners in this process (the terminal) and to the Prefect UI."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from uuid import UUID

from httpx import HTTPStatusError
from prefect.artifacts import update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.context import TaskRunContext

UI_SECONDS = 3.0
"""A step that lasts longer than this is shown in the Prefect UI, which is updated at this interval."""


Listener = Callable[[str, int, int], None]
"""A function that is called with the progress of every step of this process: label, done, total."""

listeners: list[Listener] = []


@contextmanager
def progress(label: str, *, who: Callable[[], str] = lambda: "") -> Iterator[Callable[[int, int], None]]:
    """Give the callback that a long step calls with (done, total).

    Args:
        label: iteration and stage, such as `iteration 2 · debate · round 2`.
        who: says what does the work at present, such as `3 of 4 actors`; the Prefect UI shows it.
    """
    started = heard = time.monotonic()
    shown_in: UUID | None = None
    state = (0, 1)

    def tell(done: int, total: int) -> None:
        nonlocal heard, shown_in, state
        state = (done, total)
        for listener in listeners:
            listener(label, done, total)
        now = time.monotonic()
        task = TaskRunContext.get()
        if now - heard < UI_SECONDS or task is None or task.task_run.flow_run_id is None:
            return
        heard, shown_in = now, task.task_run.flow_run_id
        _show(shown_in, 100.0 * done / max(1, total), " · ".join(filter(None, [label, who()])))

    tell(0, 1)
    yield tell
    if state[0] < state[1]:
        tell(state[1], state[1])
    if shown_in is not None:
        _show(shown_in, 100.0, f"{label}: {time.monotonic() - started:.0f} s")


def _show(flow_run_id: UUID, percent: float, text: str) -> None:
    """Update the progress artifact of a flow run; make a new one if a user has deleted it."""
    try:
        update_progress_artifact(_artifact(flow_run_id), percent, text)
    except HTTPStatusError as error:
        if error.response.status_code != HTTPStatus.NOT_FOUND:
            raise
        _artifacts.clear()
        update_progress_artifact(_artifact(flow_run_id), percent, text)


_artifacts: dict[UUID, UUID] = {}
"""The progress artifact of each flow run of this process, by the id of the run; subflow runs share their parent's."""


def _artifact(flow_run_id: UUID) -> UUID:
    """The progress artifact of the outermost flow run: the page of a job shows one, with its present stage."""
    if flow_run_id in _artifacts:
        return _artifacts[flow_run_id]
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run_id)
        while run.parent_task_run_id:
            parent = client.read_task_run(run.parent_task_run_id)
            run = client.read_flow_run(UUID(str(parent.flow_run_id)))
        if run.id not in _artifacts:
            made = ArtifactCreate(type="progress", description="", data=0.0, flow_run_id=run.id)
            _artifacts[run.id] = client.create_artifact(made).id
    _artifacts[flow_run_id] = _artifacts[run.id]
    return _artifacts[run.id]
