"""The society of a night whose schedule was moved in V2 of Prefect's interface."""

from infra.operation.flow_run import completed
from infra.operation.nights import _society

DEPLOYED = {"config": {"society": "orders", "iterations": 1, "finetune": {"epochs": 2}}}
MOVED = {"config": {"society": None, "finetune": None, "debate": None}}
"""What V2 writes for a schedule that is only moved to another time."""


def test_what_a_moved_schedule_leaves_out_is_the_deployments() -> None:
    assert completed(MOVED, DEPLOYED) == DEPLOYED
    assert completed({"config": {"iterations": 3}}, DEPLOYED)["config"]["iterations"] == 3


def test_a_night_that_never_began_belongs_to_the_society_of_its_deployment() -> None:
    assert _society({"parameters": MOVED, "auto_scheduled": True}, DEPLOYED) == "orders"
    # A run that somebody started, or one that began, has its own parameters.
    assert _society({"parameters": {"config": {}}, "auto_scheduled": False}, DEPLOYED) == "arith"
    assert _society({"parameters": {"config": {"society": "mine"}}, "auto_scheduled": True}, DEPLOYED) == "mine"
