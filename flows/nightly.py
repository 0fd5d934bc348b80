"""Nightly: make one more generation from the champion, on new problems, then run the promotion gate."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled

from flows.improve import Improvement, grow
from infra.config.job import Config
from infra.operation.one_run_per_society import SocietyBusy, one_run_per_society

FROM_CHAMPION = Config(start_from="champion", iterations=1)


@flow(name="nightly", flow_run_name="{config.society} · nightly")
def nightly(config: Config = FROM_CHAMPION) -> Improvement | State:
    """Improve the champion by one iteration; the run is cancelled if another run of the same society is at work."""
    try:
        with one_run_per_society(config.society, wait=False):
            return grow(config)
    except SocietyBusy as busy:
        return Cancelled(message=str(busy))
