"""The society of a night whose schedule was moved in V2 of Prefect's interface, and the nights that it missed."""

from datetime import datetime, timedelta

from infra.operation.flow_run import completed, society_of_night
from infra.operation.nights import _missed

DEPLOYED = {"config": {"society": "orders", "iterations": 1, "finetune": {"epochs": 2}}}
MOVED = {"config": {"society": None, "finetune": None, "debate": None}}
"""What V2 writes for a schedule that is only moved to another time."""


def test_what_a_moved_schedule_leaves_out_is_the_deployments() -> None:
    assert completed(MOVED, DEPLOYED) == DEPLOYED
    assert completed({"config": {"iterations": 3}}, DEPLOYED)["config"]["iterations"] == 3


def test_a_night_that_never_began_belongs_to_the_society_of_its_deployment() -> None:
    def society(parameters: dict, auto_scheduled: bool) -> str:
        run = {"parameters": parameters, "auto_scheduled": auto_scheduled, "deployment_id": "nightly's"}
        return society_of_night(run, {"nightly's": DEPLOYED})

    assert society(MOVED, auto_scheduled=True) == "orders"
    # A run that somebody started, or one that began, has its own parameters.
    assert society({"config": {}}, auto_scheduled=False) == "arith"
    assert society({"config": {"society": "mine"}}, auto_scheduled=True) == "mine"


def test_a_schedule_missed_no_night_before_it_was_moved() -> None:
    nights = [datetime.fromisoformat(f"2026-11-{day:02}T02:00:00Z") for day in (1, 2, 3, 6)]
    # After the third night, it was moved from 02:00 to 04:00.
    moved = {"schedule": {"cron": "0 4 * * *", "timezone": "UTC"}, "updated": "2026-11-03T12:00:00Z"}
    assert sorted(_missed([moved], nights)) == [datetime.fromisoformat(f"2026-11-{day:02}T04:00:00Z") for day in (4, 5)]
    long_after = {**moved, "updated": (nights[-1] + timedelta(days=1)).isoformat()}
    assert _missed([long_after], nights) == []
