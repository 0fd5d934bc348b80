"""Nightly: make one more generation from the champion, on new problems, then run the promotion gate."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Cancelled

from flows.improve import Improvement, grow, tidy_up
from infra.config.job import Config
from infra.operation.flow_run import as_deployed, society_of_run
from infra.operation.one_run_per_society import SocietyBusy, one_run_per_society
from tasks.lineage.nights import prune, publish_nights, show_nights

FROM_CHAMPION = Config(start_from="champion", iterations=1)


def show_end(flow: Any, flow_run: FlowRun, state: State) -> None:
    """Show a night that failed, was killed or cancelled; Prefect calls this after the end."""
    show_nights(society_of_run(flow_run.id), str(flow_run.id), {})


@flow(
    name="nightly",
    flow_run_name="{config.society} · nightly",
    on_failure=[show_end],
    on_crashed=[show_end],
    on_cancellation=[tidy_up, show_end],
)
def nightly(config: Config = FROM_CHAMPION) -> Improvement | State:
    """Improve the champion by one iteration, then delete the files of old generations.

    The run is cancelled if another run of the same society is at work.
    """
    config = as_deployed(config)
    try:
        with one_run_per_society(config.society, wait=False):
            made = grow(config)
            prune(made.job, config.promotion.keep)
    except SocietyBusy as busy:
        publish_nights(config.society, skipped=str(busy))
        return Cancelled(message=str(busy))
    publish_nights(config.society)
    return made
