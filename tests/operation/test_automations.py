"""Automations on a real server: they tell of failures, nights without a run, promotions and regressions.

They call the webhook, and send texts by notification blocks: Mattermost, whose messages are those of Slack, and e-mail.
"""

import socketserver
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from operating import ENDED, Killed, Operated, wait_for

from infra.errors import UserError
from infra.operation import automations, notices


def test_a_failed_run_is_told_of(operated: Operated, killed: Killed) -> None:
    run = operated.run(killed.run["fails"])
    here = {"name": run["name"], "url": operated.page(run["id"])}
    told = wait_for(lambda: [told for told in operated.heard if told.get("run") == here], "call")
    assert [each["what"] for each in told] == ["failed"]
    assert '<no "rest">' in told[0]["text"]
    assert run["state"]["type"] == "FAILED" and run["run_count"] == 1, (
        "a failure is not a crash: nobody starts it again"
    )


def post_event(operated: Operated, what: str, text: str) -> None:
    """What the promotion gate does."""
    event = {
        "occurred": datetime.now(UTC).isoformat(),
        "event": f"maft.{what}",
        "resource": {"prefect.resource.id": "maft.society.grade-school"},
        "payload": {"generation": 3, "version": "3", "text": text},
        "id": str(uuid.uuid4()),
    }
    with operated.api as api:
        api.post("/events", json=[event])


@pytest.mark.parametrize("what", ["promoted", "regressed"])
def test_a_move_or_a_loss_of_the_champion_is_told_of(operated: Operated, what: str) -> None:
    text = 'generation 3: +4.2 %\n"</script>"'
    post_event(operated, what, text)
    told = wait_for(lambda: [told for told in operated.heard if told.get("what") == what], "call")
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
    address = operated.environment.pop(notices.WEBHOOK_VARIABLE)
    assert "deploying" in operated.operate()
    with operated.api as api:
        names = {each["name"] for each in api.post("/automations/filter", json={}).json()}
        blocks = [each["name"] for each in api.post("/block_documents/filter", json={}).json()]
    assert names == {automations.SILENT, automations.AGAIN, automations.HOPELESS}
    assert notices.WEBHOOK_BLOCK not in blocks
    assert not any(address in log.read_text() for log in operated.home.logs.iterdir())


def test_a_bad_address_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(notices.WEBHOOK_VARIABLE, "hooks.example/secret")
    with pytest.raises(UserError, match="MAFT_WEBHOOK_URL is not an http") as error:
        notices.webhook_url()
    assert "secret" not in str(error.value)


class MailServer(socketserver.StreamRequestHandler):
    """Takes e-mails by SMTP and keeps their texts."""

    kept: list[str] = []  # noqa: RUF012, all connections share it

    def handle(self) -> None:
        self.wfile.write(b"220 ready\r\n")
        while line := self.rfile.readline().upper():
            if line.startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                self.kept.append("".join(iter(lambda: self.rfile.readline().decode(), ".\r\n")))
            self.wfile.write(b"221 bye\r\n" if line.startswith(b"QUIT") else b"250 ok\r\n")


@pytest.fixture(scope="module")
def mails() -> Iterator[tuple[int, list[str]]]:
    """The port of a mail server, and the mails that it got."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), MailServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], MailServer.kept
        server.shutdown()


def make_block(operated: Operated, slug: str, data: dict[str, Any]) -> None:
    """Make a notification block named `maft`, as the page *Blocks* does."""
    with operated.api as api:
        kind = api.get(f"/block_types/slug/{slug}").json()["id"]
        schemas = api.post("/block_schemas/filter", json={"block_schemas": {"block_type_id": {"any_": [kind]}}}).json()
        block = {"name": notices.BLOCK, "data": data, "block_schema_id": schemas[0]["id"], "block_type_id": kind}
        api.post("/block_documents/", json=block)


def test_blocks_named_maft_tell_by_chat_and_by_mail(
    operated: Operated, tmp_path: Path, mails: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(operated.environment, notices.WEBHOOK_VARIABLE, raising=False)
    chat = operated.heard_at.rpartition(":")[2].partition("/")[0]
    token = "a" * 26
    make_block(
        operated,
        "mattermost-webhook",
        {"hostname": "127.0.0.1", "port": int(chat), "token": token, "secure": False, "include_image": False},
    )
    port, got = mails
    address = f"mailto://127.0.0.1:{port}?from=maft@example.com&to=me@example.com&format=text"
    make_block(operated, "maft-apprise", {"url": address})
    assert "deploying" in operated.operate()
    shorter = """if True:
        import os
        from datetime import timedelta
        from uuid import UUID
        from infra.operation import automations, notices
        from infra.operation.prefect_api import connect
        from prefect.client.orchestration import get_client
        url = os.environ["PREFECT_API_URL"]
        with connect(url) as api:
            channels = notices.Channels(None, [UUID(block) for block in notices.notification_blocks(api)])
        with get_client(sync_client=True) as client:
            for notice in notices.notices(channels, url.removesuffix("/api"), timedelta(seconds=10)):
                automations.put(client, notice)
    """
    operated.python("-c", shorter, client=True)

    failing = operated.nap(tmp_path / "journal", 0, fault="fails")
    with operated.api as api:
        nightly = api.get("/deployments/name/nightly/nightly").json()["id"]
        api.patch("/work_pools/maft", json={"is_paused": True})
        late, skipped = (
            api.post(f"/deployments/{nightly}/create_flow_run", json={"name": name}).json()["id"]
            for name in ("a late night", "a skipped night")
        )
        state = {"type": "CANCELLED", "message": "another run of society 'arith' is at work"}
        api.post(f"/flow_runs/{skipped}/set_state", json={"state": state, "force": True})
        post_event(operated, "regressed", 'generation 3: -4.2 % <b>"')
    expected = {
        "a skipped night: skipped": "another run of society 'arith' is at work",
        "a late night: late": "no worker begins it",
        "grade-school: regressed": "generation 3: -4.2 % <b>",
    }
    try:
        for subject, text in expected.items():
            for found in (lambda: [str(told) for told in operated.heard], lambda: got):
                told = wait_for(
                    lambda found=found, subject=subject: [each for each in found() if f"maft: {subject}" in each],
                    f"message {subject!r}",
                )
                assert text in told[0] and "http://127.0.0.1:" in told[0]
    finally:
        with operated.api as api:
            api.post(f"/flow_runs/{late}/set_state", json={"state": {"type": "CANCELLED"}, "force": True})
            api.patch("/work_pools/maft", json={"is_paused": False})
    operated.until(failing, *ENDED)
    name = operated.run(failing)["name"]
    wait_for(lambda: [mail for mail in got if f"maft: {name}: failed" in mail], "mail about the failure")
