"""Automations on a real server: they call the webhook for failures, promotions and regressions."""

import time
import uuid
from datetime import UTC, datetime

import pytest
from operating import ENDED, Killed, Operated, wait_for

from infra.errors import UserError
from infra.operation import automations


def test_a_failed_run_is_told_of(operated: Operated, killed: Killed) -> None:
    run = operated.run(killed.run["fails"])
    here = {"name": run["name"], "url": operated.page(run["id"])}
    told = wait_for(lambda: [told for told in operated.heard if told.get("run") == here], "call")
    assert [each["what"] for each in told] == ["failed"]
    assert '<no "rest">' in told[0]["text"]
    assert run["state"]["type"] == "FAILED" and run["run_count"] == 1, (
        "a failure is not a crash: nobody starts it again"
    )


@pytest.mark.parametrize("what", ["promoted", "regressed"])
def test_a_move_or_a_loss_of_the_champion_is_told_of(operated: Operated, what: str) -> None:
    text = 'generation 3: +4.2 %\n"</script>"'
    event = {
        "occurred": datetime.now(UTC).isoformat(),
        "event": f"maft.{what}",
        "resource": {"prefect.resource.id": "maft.society.grade-school"},
        "payload": {"generation": 3, "version": "3", "text": text},
        "id": str(uuid.uuid4()),
    }
    with operated.api as api:
        api.post("/events", json=[event])
    told = wait_for(lambda: [told for told in operated.heard if told["what"] == what], "call")
    assert told == [{"what": what, "society": "grade-school", "generation": 3, "version": "3", "text": text}]


@pytest.mark.parametrize(("name", "count", "end"), [("dies", 2, "crashed"), ("never starts", 0, "failed")])
def test_a_second_crash_is_final_and_told_of(
    operated: Operated, killed: Killed, name: str, count: int, end: str
) -> None:
    run = killed.run[name]
    wait_for(lambda: [told for told in operated.heard if run in str(told)], "call")
    found = operated.run(run)
    assert (found["state"]["type"], found["run_count"]) == (end.upper(), count)
    assert len(killed.starts(name)) == count
    time.sleep(2 * automations.QUIET.total_seconds())  # No third start and no second call must follow.
    assert [each["what"] for each in operated.heard if run in str(each)] == [end]
    assert operated.run(run)["state"]["id"] == found["state"]["id"]


def test_without_an_address_nobody_is_told(operated: Operated, killed: Killed) -> None:
    operated.until(killed.run["by hand"], *ENDED)  # `operate` below restores the usual time of silence.
    address = operated.environment.pop(automations.WEBHOOK_VARIABLE)
    assert "deploying" in operated.operate()
    with operated.api as api:
        names = {each["name"] for each in api.post("/automations/filter", json={}).json()}
        blocks = [each["name"] for each in api.post("/block_documents/filter", json={}).json()]
    assert names == {automations.SILENT, automations.AGAIN, automations.HOPELESS}
    assert automations.WEBHOOK_BLOCK not in blocks
    assert not any(address in log.read_text() for log in operated.home.logs.iterdir())


def test_a_bad_address_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(automations.WEBHOOK_VARIABLE, "hooks.example/secret")
    with pytest.raises(UserError, match="MAFT_WEBHOOK_URL is not an http") as error:
        automations.webhook_url()
    assert "secret" not in str(error.value)
