"""Finds and deletes the results and artifacts of a home, and of its bucket, that nothing refers to any more.

Results and artifacts are named by a SHA-256, and each of these places that holds the SHA-256 refers to them: in MLflow,
the tags, params and data sets of a society's runs, and the tags of registered versions; in Prefect, the parameters of a
flow run that has not ended well, and the results that its tasks made or took from the cache. So registered generations
keep their adapters and data sets, and an unfinished job keeps everything that it resumes from. A completed job does not
keep its results; when it is run again, it computes the missing ones again. A pruned generation
(`infra.lineage.prune`) keeps only its records. A flow run that was killed or failed counts as completed once the same
job, started again in a flow run of its own, has completed.

Anything younger than a day, or younger than the oldest flow run still at work, is kept, since a reference to it may
be about to be written.
"""

import os
import time
from collections.abc import Iterable, Iterator, Set
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from pydantic import Field

from evaluation.record import Record
from infra.home.home import Home
from infra.home.store import results_of
from infra.lineage.client import client
from infra.lineage.prune import BEGUN, DONE, RUN_PRUNED, mark, prune_generations
from infra.lineage.runs import experiment_name
from infra.lineage.societies import PRUNED
from infra.operation.prefect_api import connect
from infra.operation.stored import DIGEST, Kind, stored

GRACE_SECONDS = 24 * 3600.0
_AT_WORK = {"RUNNING", "PAUSED", "CANCELLING"}
_ENDED_OR_KILLED = {"RUNNING", "CRASHED", "FAILED"}
"""States of a flow run whose process may be gone for good."""
_PAGE = 200


class Garbage(Record):
    """A file, folder or object that nothing refers to."""

    kind: Kind
    path: str = Field(description="Relative to the home; of an object in a bucket, the URL.")
    bytes: int


class Plan(Record):
    """The files and folders to delete, and why the rest is kept."""

    home: str
    garbage: list[Garbage]
    kept: int = Field(description="Results and artifacts that stay.")
    versions: int = Field(description="Registered versions in MLflow.")
    unfinished: list[str] = Field(description="Name and state of the flow runs that have not ended well.")

    @property
    def bytes(self) -> int:
        """The size of all garbage."""
        return sum(item.bytes for item in self.garbage)


def plan(home: Home, among: Set[str] | None = None) -> Plan:
    """List what nothing refers to, in the order of deletion: results come before the artifacts that they refer to.

    Several societies may share a home. Both servers, at PREFECT_API_URL and MLFLOW_TRACKING_URI, must answer, since
    anything that they do not refer to counts as garbage.

    Args:
        among: the digests to look at; None for all.

    Raises:
        UserError: a folder of the home is a symbolic link; prune deletes nothing behind a link.
        httpx.HTTPError, MlflowException, StoreError: a server or the bucket does not answer.
    """
    versions, needed = _registered()
    needed |= _read_by_runs()
    flow_runs, resumed = _unfinished()
    needed |= resumed | _held_by(home, resumed)
    starts = [_seconds(run["start_time"]) for run in flow_runs if run["state_type"] in _AT_WORK]
    cut = min([time.time() - GRACE_SECONDS, *starts])
    kept, garbage = 0, []
    for each in stored(home):
        if among is not None and each.name not in among:
            continue
        if each.name in needed or each.modified() > cut or each.is_base_model():
            kept += each.kind != "leftover"
        else:
            garbage.append(Garbage(kind=each.kind, path=each.place, bytes=each.bytes))
    unfinished = [f"{run['name']} ({run['state_name']})" for run in flow_runs]
    return Plan(home=str(home.path), garbage=garbage, kept=kept, versions=versions, unfinished=unfinished)


def carry_out(planned: Plan) -> list[Garbage]:
    """Delete the planned garbage, except what is needed or gone by now.

    A kill leaves no artifact partly deleted; the next call deletes the rest.

    Returns:
        The deleted garbage.

    Raises:
        UserError, httpx.HTTPError, MlflowException, StoreError: as in `plan`.
    """
    home = Home(Path(planned.home))
    agreed = {item.path for item in planned.garbage}
    deleted = [item for item in plan(home).garbage if item.path in agreed]
    doomed = {item.path for item in deleted}
    for each in stored(home):
        if each.place in doomed:
            each.delete()
    return deleted


def prune_society(home: Home, society: str, keep: int) -> tuple[int, int]:
    """Delete the files of all but the newest generations of a society, and what only their jobs needed in the home.

    Args:
        keep: as for `infra.lineage.prune.prune_generations`.

    Returns:
        The number of jobs whose generations are all pruned now, and the bytes that this freed in the home.

    Raises:
        UserError, httpx.HTTPError, MlflowException, StoreError: as in `plan`.
    """
    jobs = prune_generations(society, keep)
    if not jobs:
        return 0, 0
    with connect(os.environ["PREFECT_API_URL"]) as prefect:
        made = _of_tasks(prefect, [job.data.tags["prefect.flow_run_id"] for job in jobs])
    made |= _held_by(home, made)
    for job in jobs:
        mark(job, BEGUN)
    deleted = carry_out(plan(home, made))
    for job in jobs:
        mark(job, DONE)
    return len(jobs), sum(item.bytes for item in deleted)


def _registered() -> tuple[int, set[str]]:
    """The number of registered versions that are not pruned, and the digests that they refer to."""
    mlflow = client()
    count, needed, token = 0, set[str](), None
    while True:
        page = mlflow.search_model_versions(max_results=_PAGE, page_token=token)
        whole = [version for version in page if PRUNED not in version.tags]
        count += len(whole)
        needed |= _digests(value for version in whole for value in version.tags.values())
        token = page.token
        if not token:
            return count, needed


def _read_by_runs() -> set[str]:
    """The digests that the runs of all societies refer to, such as those of the problems that they read."""
    mlflow = client()
    societies = mlflow.search_experiments(filter_string=f"name LIKE '{experiment_name('%')}'", max_results=10_000)
    needed, token = set[str](), None
    while societies:
        ids = [society.experiment_id for society in societies]
        page = mlflow.search_runs(ids, max_results=_PAGE, page_token=token)
        for run in page:
            if RUN_PRUNED in run.data.tags:
                continue
            inputs = run.inputs.dataset_inputs if run.inputs else []
            needed |= _digests(tag.value for data in inputs for tag in data.tags)
            needed |= _digests([*run.data.tags.values(), *run.data.params.values()])
        token = page.token
        if not token:
            break
    return needed


def _unfinished() -> tuple[list[dict[str, Any]], set[str]]:
    """The flow runs that have begun and not ended well, and the digests in them, their subflows and their tasks."""
    with connect(os.environ["PREFECT_API_URL"]) as prefect:
        ended_well = {"not_any_": ["COMPLETED", "CANCELLED"]}
        roots = {"parent_task_run_id": {"is_null_": True}, "state": {"type": ended_well}}
        found = [run for run in _pages(prefect, "/flow_runs/filter", roots) if not _done_by_another(prefect, run)]
        needed = _digests(str(run["parameters"]) for run in found)
        # A completed subflow of an unfinished flow runs again too, from the cache, so it needs its results.
        needed |= _of_tasks(prefect, [run["id"] for run in found])
    return [run for run in found if run["start_time"]], needed


def _of_tasks(prefect: httpx.Client, ids: list[str]) -> set[str]:
    """The digests in the states of the tasks of flow runs and of their subflows: the names of their results."""
    found = set[str]()
    while ids:
        for start in range(0, len(ids), _PAGE):
            some = {"id": {"any_": ids[start : start + _PAGE]}}
            found |= _digests(str(task["state"]) for task in _pages(prefect, "/task_runs/filter", some))
        ids = [run["id"] for run in _pages(prefect, "/flow_runs/filter", {"parent_flow_run_id": {"any_": ids}})]
    return found


def _held_by(home: Home, names: Iterable[str]) -> set[str]:
    """The digests in the results with these names, as far as they are stored."""
    results = results_of(home)
    found = (results.read(name) for name in names)
    return _digests(content.decode("utf-8", errors="replace") for content in found if content is not None)


def _done_by_another(prefect: httpx.Client, run: dict[str, Any]) -> bool:
    """Whether a later run of the same flow with the same parameters has completed.

    A process that was killed cannot report it, so the state of its flow run stays Running, or becomes Crashed later;
    the same command then makes another flow run. A run that waits for its start is never done.
    """
    if not run["start_time"] or run["state_type"] not in _ENDED_OR_KILLED:
        return False
    later = {"state": {"type": {"any_": ["COMPLETED"]}}, "start_time": {"after_": run["start_time"]}}
    return any(
        (other["flow_id"], other["parameters"]) == (run["flow_id"], run["parameters"])
        for other in _pages(prefect, "/flow_runs/filter", later)
    )


def _pages(prefect: httpx.Client, path: str, flow_runs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        query = {"flow_runs": flow_runs, "sort": "ID_DESC", "limit": _PAGE, "offset": offset}
        page = prefect.post(path, json=query).json()
        yield from page
        offset += len(page)
        if len(page) < _PAGE:
            return


def _digests(texts: Iterable[str]) -> set[str]:
    return {digest for text in texts for digest in DIGEST.findall(text)}


def _seconds(time_stamp: str) -> float:
    return datetime.fromisoformat(time_stamp).timestamp()
