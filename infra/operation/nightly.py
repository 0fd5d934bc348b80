"""Societies that improve every night: each has a deployment `nightly-SOCIETY` of the flow `nightly`.

The deployment `nightly`, of the default society, is the one that comes with maft; the others are made from it, with a
config and a schedule of their own. `infra.operation.deployments` gives them what a new version of maft changes in it.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from infra.config.job import Config
from infra.errors import UserError
from infra.operation.deployments import EVERY_NIGHT, SHARED, timezone
from infra.operation.flow_run import completed, society_of, society_of_night, society_tag
from infra.operation.notices import POOL
from infra.operation.prefect_api import connect

DEFAULT_CRON = "0 2 * * *"
"""When a night is due if nobody says when, as in prefect.yaml."""

ONE_MORE = {"start_from": "champion", "iterations": 1}
"""What a night does unless its config says otherwise."""

_NIGHTLY = {"flows": {"name": {"any_": [EVERY_NIGHT]}}, "work_pools": {"name": {"any_": [POOL]}}}
_PAGE = 200
"""The largest number of flow runs that Prefect's API gives at once. A deployment has few that are due."""


@dataclass(frozen=True)
class DueNight:
    """A scheduled night."""

    society: str
    flow_run_id: str
    name: str
    at: str
    """The time of its start, ISO 8601, UTC."""


@dataclass(frozen=True)
class Nightly:
    """The deployment of a society that improves every night."""

    society: str
    deployment: str
    deployment_id: str
    schedules: list[dict[str, Any]]
    """As in Prefect's API; there may be several, and some may be switched off."""
    config: dict[str, Any]
    """The config of its nights; what it leaves out has its default."""
    next: str | None
    """The time of the next night, ISO 8601, UTC; None if all schedules are switched off or have ended."""


def due_nights(prefect_api_url: str) -> list[DueNight]:
    """The scheduled nights of all societies, the soonest first.

    Raises:
        httpx.HTTPError: the server does not answer.
    """
    wanted = _NIGHTLY | {
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": _PAGE,
    }
    with connect(prefect_api_url) as api:
        deployed = {each["id"]: each["parameters"] for each in _deployments(api)}
        runs = api.post("/flow_runs/filter", json=wanted).json()
    return [
        DueNight(society_of_night(run, deployed), run["id"], run["name"], run["expected_start_time"]) for run in runs
    ]


def cron_schedule(at: str) -> dict[str, Any]:
    """The schedule of a cron line in the time zone MAFT_TIMEZONE, as Prefect's API takes it.

    Raises:
        UserError: it is not a cron line, or names no day that exists, or there is no such time zone.
    """
    schedule = {"cron": at, "timezone": timezone()}
    try:
        _next(schedule)
    except ValueError as error:
        raise UserError(
            f"--at is {at!r}, which is not a cron line of a time that comes; it needs minute, hour, day of the month, "
            "month and day of the week, such as '30 3 * * *' for 03:30 every night"
        ) from error
    return schedule


def one_more(config: Config) -> dict[str, Any]:
    """The config of a night: what is set in a job's config, and ONE_MORE.

    Raises:
        UserError: start_from names a generation that later nights would start from again.
    """
    night = {"society": config.society, **ONE_MORE, **config.model_dump(mode="json", exclude_unset=True)}
    if night["start_from"] not in ("champion", "candidate"):
        raise UserError(
            f"start_from is {night['start_from']}, from which every night would start again; leave it out, which means "
            "champion, or set it to candidate"
        )
    return night


def put(prefect_api_url: str, config: dict[str, Any], schedule: dict[str, Any] | None) -> Nightly:
    """Make the deployment of a society, or change it.

    Args:
        prefect_api_url: a server with the deployments of prefect.yaml.
        config: see `one_more`.
        schedule: see `cron_schedule`; None for the schedules that the deployment has, or else DEFAULT_CRON.

    Raises:
        UserError: another deployment improves the society every night.
        httpx.HTTPError: the server does not answer.
    """
    society = config["society"]
    name = _name(society)
    with connect(prefect_api_url) as api:
        found = {each["name"]: each for each in _deployments(api)}
        other = next((each for each in found.values() if each["name"] != name and _improves(each, society)), None)
        if other:
            raise UserError(
                f"society is {society}, which the deployment {other['name']} improves every night already; set society "
                f"to another name, or switch off its schedule on {deployment_page(prefect_api_url, other['id'])}"
            )
        base, before = found[EVERY_NIGHT], found.get(name)
        own = {
            **{field: base[field] for field in SHARED},
            "description": _description(society),
            "tags": [*base["tags"], society_tag(society)],
            "parameters": {"config": config},
        }
        if before and schedule is None:
            api.patch(f"/deployments/{before['id']}", json=own)
            made = api.get(f"/deployments/{before['id']}").json()
        else:
            # If there is a deployment of this name, it gets these fields and only this schedule.
            when = {"schedule": schedule or cron_schedule(DEFAULT_CRON), "slug": EVERY_NIGHT}
            new = {**own, "flow_id": base["flow_id"], "name": name, "schedules": [when]}
            made = api.post("/deployments/", json=new).json()
    coming = [at for each in made["schedules"] if each["active"] and (at := _next(each["schedule"]))]
    first = min(coming).astimezone(UTC).isoformat() if coming else None
    return Nightly(society, name, made["id"], made["schedules"], made["parameters"]["config"], first)


def remove(prefect_api_url: str, society: str) -> str:
    """Delete the deployment of a society; what its nights made stays.

    Returns:
        The deployment's name.

    Raises:
        UserError: there is no such deployment.
        httpx.HTTPError: the server does not answer.
    """
    with connect(prefect_api_url) as api:
        found = {each["name"]: each["id"] for each in _deployments(api)}
        name = _name(society)
        if name not in found:
            own = sorted(each.removeprefix(_name("")) for each in found if each != EVERY_NIGHT)
            raise UserError(
                f"society is {society}, which has no nights; `maft nightly` has scheduled {', '.join(own) or 'none'}"
            )
        api.delete(f"/deployments/{found[name]}")
    return name


def deployment_page(prefect_api_url: str, deployment_id: str) -> str:
    """The address of a deployment's page."""
    return f"{prefect_api_url.removesuffix('/api')}/deployments/deployment/{deployment_id}"


def _name(society: str) -> str:
    return f"{EVERY_NIGHT}-{society}"


def _deployments(api: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.post("/deployments/filter", json=_NIGHTLY).json()
    return found


def _improves(deployment: dict[str, Any], society: str) -> bool:
    """Whether a schedule of the deployment that is switched on is one of the society."""
    return not deployment["paused"] and any(
        society_of(completed(each["parameters"] or {}, deployment["parameters"])) == society
        for each in deployment["schedules"]
        if each["active"]
    )


def _next(schedule: dict[str, Any]) -> datetime | None:
    """The next time of a schedule; None if it has ended.

    Raises:
        ValueError: it is not a schedule, or a cron line of a time that never comes.
    """
    from prefect.server.schemas.schedules import SCHEDULE_TYPES
    from pydantic import TypeAdapter

    checked: Any = TypeAdapter(SCHEDULE_TYPES).validate_python(schedule)
    found: list[datetime] = asyncio.run(checked.get_dates(1))
    return found[0] if found else None


def _description(society: str) -> str:
    return (
        f"Makes one more generation of the society *{society}* from its champion, every night; see *nightly*.\n\n"
        "**To change it**, run `maft nightly` again with the job file; with `--remove`, it ends. **To pause it**, "
        "switch off the schedule on this page; the menu beside it moves it to another time."
    )
