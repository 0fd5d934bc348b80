"""What the pages of Prefect show of a flow run beside its state: its name, and tags by which a filter finds it."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from infra.config.job import Config
from infra.operation.prefect_api import connect

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

WAITS = " · waits for "
"""Followed by the name of another run, this ends the name of a flow run that waits."""


def society_of(parameters: Mapping[str, Any]) -> str:
    """The society in the parameters of a flow run or of a schedule; the default one if they name none."""
    config = parameters.get("config") or {}
    return str(config.get("society", Config.model_fields["society"].default))


def society_of_run(run_id: UUID) -> str:
    """The society of a flow run, whose parameters `as_deployed` may have completed since the run began."""
    return society_of(_read(run_id)["parameters"])


def completed(parameters: Mapping[str, Any], deployed: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a schedule, or of its run, with what they leave out or null taken from the deployment's.

    Prefect puts a schedule's parameters in place of the deployment's. Its V2 interface gives a schedule parameters when
    somebody only moves it to another time: `config`, with null for each section and nothing else.
    """
    given = {field: value for field, value in (parameters.get("config") or {}).items() if value is not None}
    return {**deployed, **parameters, "config": {**(deployed.get("config") or {}), **given}}


def society_of_night(run: Mapping[str, Any], deployed: Mapping[str, Mapping[str, Any]]) -> str:
    """The society of a flow run of `nightly`, also of one that has not begun.

    Args:
        run: the flow run, as Prefect's API gives it.
        deployed: the parameters of each deployment by its id.
    """
    own = deployed.get(run["deployment_id"], {})
    return society_of(completed(run["parameters"], own) if run["auto_scheduled"] else run["parameters"])


def as_deployed(config: Config) -> Config:
    """The config of the present flow run; if a schedule started it, completed by the deployment's, see `completed`."""
    run = present_run()
    if run is None or run.deployment_id is None or not run.auto_scheduled:
        return config
    with connect(os.environ["PREFECT_API_URL"]) as prefect:
        deployed = prefect.get(f"/deployments/{run.deployment_id}").json()["parameters"]
    parameters = completed(run.parameters, deployed)
    meant = Config.model_validate(parameters["config"])
    if meant != config:
        _update(run.id, parameters=parameters, name=f"{meant.society} · nightly")
    return meant


def society_tag(society: str) -> str:
    """The tag of all flow runs of a society."""
    return f"society:{society}"


def tag_run(*tags: str) -> None:
    """Add tags to the present flow run; outside of a flow run, do nothing."""
    if run := present_run():
        _update(run.id, tags=sorted({*_read(run.id)["tags"], *tags}))


def name_run(society: str, made: str, generations: range) -> None:
    """Name the present flow run after the generations that it makes, and tag it with their numbers.

    Args:
        society: its name.
        made: the generations in words, such as `generations 1 to 2`.
        generations: their numbers.
    """
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = present_run()
    if run and context and context.flow:
        nightly = "nightly · " if context.flow.name == "nightly" else ""
        _update(run.id, name=f"{society} · {nightly}{made}")
        tag_run(*(f"generation:{number}" for number in generations))


def rename(run_id: UUID, name: str) -> None:
    """Give a flow run another name."""
    _update(run_id, name=name)


def at_work(society: str) -> dict[str, Any] | None:
    """The flow run of the society that is at work beside the present one, and does not wait; None if unknown."""
    present = present_run()
    query = {
        "flow_runs": {
            "tags": {"all_": [society_tag(society)]},
            "state": {"type": {"any_": ["RUNNING"]}},
        },
        "flows": {"name": {"any_": ["improve", "nightly"]}},
        # A run that was killed may still be called running, but the one that began last is at work.
        "sort": "START_TIME_DESC",
    }
    with connect(os.environ["PREFECT_API_URL"]) as prefect:
        found = prefect.post("/flow_runs/filter", json=query).json()
    others = (run for run in found if WAITS not in run["name"] and (present is None or run["id"] != str(present.id)))
    return next(others, None)


def page(run_id: str) -> str:
    """The address of a flow run's page."""
    return f"{os.environ['PREFECT_API_URL'].removesuffix('/api')}/runs/flow-run/{run_id}"


def present_run() -> "FlowRun | None":
    """The flow run that this code is in; None outside of one."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return context.flow_run if context else None


def _read(run_id: UUID) -> dict[str, Any]:
    with connect(os.environ["PREFECT_API_URL"]) as prefect:
        found: dict[str, Any] = prefect.get(f"/flow_runs/{run_id}").json()
    return found


def _update(run_id: UUID, **fields: Any) -> None:
    with connect(os.environ["PREFECT_API_URL"]) as prefect:
        prefect.patch(f"/flow_runs/{run_id}", json=fields)
