"""Reports the progress of long steps to listeners in this process (the terminal) and to the Prefect UI."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

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
        task = TaskRunContext.get()
        if now - heard < UI_SECONDS or task is None or task.task_run.flow_run_id is None:
            return
        heard = now
        percent = 100.0 * done / max(1, total)
        if artifact is None:
            artifact = _artifact(task.task_run.flow_run_id)
        update_progress_artifact(artifact, percent, label)

    tell(0, 1)
    yield tell
    if state[0] < state[1]:
        tell(state[1], state[1])
    if artifact is not None:
        update_progress_artifact(artifact, 100.0, f"{label}: {time.monotonic() - started:.0f} s")


_artifacts: dict[UUID, UUID] = {}
"""The progress artifact of each outermost flow run of this process, by the id of the run."""


def _artifact(flow_run_id: UUID) -> UUID:
    """The progress artifact of the outermost flow run: the page of a job shows one, with its present stage."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run_id)
        while run.parent_task_run_id:
            parent = client.read_task_run(run.parent_task_run_id)
            run = client.read_flow_run(UUID(str(parent.flow_run_id)))
        if run.id not in _artifacts:
            made = ArtifactCreate(type="progress", description="", data=0.0, flow_run_id=run.id)
            _artifacts[run.id] = client.create_artifact(made).id
    return _artifacts[run.id]
