"""The last nights of a society: what each made, what it took, and why one did not happen.

A night is a flow run of `nightly`, or a time of its schedule for which there is no flow run. Prefect knows when a flow
run was due, and how and when it ended; MLflow knows which generation it made and how that was judged.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from infra.home.home import Home
from infra.lineage.client import client
from infra.lineage.runs import all_jobs
from infra.lineage.societies import registered_versions
from infra.operation.flow_run import completed, society_of, society_of_night
from infra.operation.prefect_api import connect

LAST = 30
"""The number of nights that are shown."""

LATE = timedelta(minutes=15)
"""A night that starts later than this after its time is called late."""

DISK = "maft.home_bytes"
"""The tag of a job's run in MLflow with the size of the home folder at the end of the night."""

NOTHING_LEARNED = "nothing was learned"
"""The start of the verdict on a generation with the adapters of the champion."""

_OUTCOMES = {"gain": "better", "tie": "no better", "loss": "worse"}
_ENDS = {"FAILED": "failed", "CRASHED": "killed", "CANCELLED": "cancelled", "CANCELLING": "cancelled"}
_NIGHTLY = {"flows": {"name": {"any_": ["nightly"]}}}
_PAGE = 200


@dataclass(frozen=True)
class Made:
    """What a night made; None if it was not measured."""

    generation: int
    version: str
    verdict: str | None
    text: str
    """The verdict as a sentence."""
    accuracy: float | None
    champion_accuracy: float | None
    """Accuracy of the champion on the same problems."""
    bytes: int | None
    """Size of the home folder after the night."""


@dataclass(frozen=True)
class Night:
    """One night; without `made` it made no generation."""

    at: datetime
    """The time when it was due."""
    outcome: str
    why: str
    """What went wrong, if anything did."""
    flow_run_id: str | None = None
    made: Made | None = None
    seconds: float | None = None


def last_nights(society: str, skipped: Mapping[str, str]) -> list[Night]:
    """The society's nights, the newest first, at most LAST of them.

    Args:
        society: its name.
        skipped: by the id of a flow run that is about to end without a generation: why it does.

    Raises:
        httpx.HTTPError, MlflowException: a server does not answer.
    """
    with connect(os.environ["PREFECT_API_URL"]) as prefect:
        deployments = prefect.post("/deployments/filter", json=_NIGHTLY).json()
        found = list(_flow_runs(prefect, society, {each["id"]: each["parameters"] for each in deployments}))
    schedules = _schedules(deployments, society)
    made = _made(society)
    nights = [_night(run, made.get(run["id"]), skipped.get(run["id"])) for run in found]
    times = [night.at for night in nights]
    why = "no server was up, or the schedule was off"
    nights += [Night(at=at, outcome="no run", why=why) for at in _missed(schedules, times)]
    return sorted(nights, key=lambda night: night.at, reverse=True)[:LAST]


def note_disk(job_run_id: str, home: Home) -> None:
    """Note the size of the home folder in the job's run."""
    files = (file for file in home.path.rglob("*") if file.is_file() and not file.is_symlink())
    client().set_tag(job_run_id, DISK, str(sum(file.stat().st_size for file in files)))


def _flow_runs(
    prefect: httpx.Client, society: str, deployed: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The society's flow runs of `nightly` that have been due, the newest first.

    Args:
        prefect: the API.
        society: its name.
        deployed: the parameters of each deployment by its id; they complete those of a run that has not begun.
    """
    offset, count = 0, 0
    while count < LAST:
        query = _NIGHTLY | {
            "flow_runs": {"state": {"name": {"not_any_": ["Scheduled"]}}},
            "sort": "EXPECTED_START_TIME_DESC",
            "limit": _PAGE,
            "offset": offset,
        }
        page = prefect.post("/flow_runs/filter", json=query).json()
        own = [run for run in page if society_of_night(run, deployed) == society]
        yield from own
        count, offset = count + len(own), offset + len(page)
        if len(page) < _PAGE:
            return


def _schedules(deployments: Sequence[Mapping[str, Any]], society: str) -> list[dict[str, Any]]:
    """The society's schedules of deployments of `nightly`, as Prefect's API gives them."""
    return [
        schedule
        for deployment in deployments
        for schedule in deployment["schedules"]
        if society_of(completed(schedule["parameters"] or {}, deployment["parameters"])) == society
    ]


def _missed(schedules: Sequence[dict[str, Any]], times: Sequence[datetime]) -> list[datetime]:
    """The times of the schedules between the first and the last of `times` that are none of them.

    Before its last change, a schedule may have had other times, so that those are left out.
    """
    from prefect.server.schemas.schedules import SCHEDULE_TYPES
    from pydantic import TypeAdapter

    due: set[datetime] = set()
    for each in schedules if times else ():
        schedule: Any = TypeAdapter(SCHEDULE_TYPES).validate_python(each["schedule"])
        since = max(min(times), datetime.fromisoformat(each["updated"]))
        due |= set(asyncio.run(schedule.get_dates(start=since, end=max(times)))) if since < max(times) else set()
    return [at for at in due if all(abs(at - other) > timedelta(minutes=1) for other in times)]


def _made(society: str) -> dict[str, Made]:
    """What the society's jobs made, by the id of their flow run; the last generation of each counts."""
    newest = {version.tags["job"]: version for version in registered_versions(society)}
    found = {}
    for run in all_jobs(society):
        version = newest.get(run.data.tags["maft.job"])
        if version is not None:
            tags, size = version.tags, run.data.tags.get(DISK)
            candidate, champion = (tags.get(f"gate.{who}_accuracy") for who in ("candidate", "champion"))
            found[run.data.tags["prefect.flow_run_id"]] = Made(
                generation=int(tags["generation"]),
                version=str(version.version),
                verdict=tags.get("verdict"),
                text=tags.get("gate.text", ""),
                accuracy=float(candidate) if candidate else None,
                champion_accuracy=float(champion) if champion else None,
                bytes=int(size) if size else None,
            )
    return found


def _night(run: dict[str, Any], made: Made | None, skipped: str | None) -> Night:
    state, message = run["state_type"], run["state"]["message"] or ""
    at = datetime.fromisoformat(run["expected_start_time"])
    begun = datetime.fromisoformat(run["start_time"]) if run["start_time"] else None
    notes = []
    if begun and begun - at > LATE:
        notes.append(f"started {_in_words(begun - at)} late, when a server and a worker were up")
    if run["run_count"] > 1:
        notes.append(f"started {run['run_count']} times")
    if skipped or (state == "CANCELLED" and "is at work" in message):
        outcome, notes = "skipped", [skipped or message]
    elif state in _ENDS:
        outcome, notes = _ENDS[state], [*notes, message]
    elif made and made.verdict:
        outcome = NOTHING_LEARNED if made.text.startswith(NOTHING_LEARNED) else _OUTCOMES[made.verdict]
    elif begun is None:
        outcome, notes = "waits", ["no worker begins it" if run["state_name"] == "Late" else message]
    else:
        outcome, notes = "at work", []
    return Night(
        at=at,
        outcome=outcome,
        why="; ".join(note.removesuffix(".") for note in notes if note),
        flow_run_id=run["id"],
        made=made,
        seconds=run["estimated_run_time"] if begun else None,
    )


def _in_words(time: timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{round(minutes / 60)} hours"
