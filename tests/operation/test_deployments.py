"""The deployments of `maft up` on a real server."""

import subprocess
import sys
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import httpx
import psutil
import pytest
from operating import TIMEZONE, Operated, wait_for

from infra.errors import UserError
from infra.home.home import Home
from infra.operation import deployments, processes, up
from infra.operation.deployments import ROOT
from infra.operation.nightly import due_nights
from infra.operation.servers import WORKER, Servers

NAMES = ["benchmark", "evaluate", "improve", "nightly", "pretrain", "preview"]


def told(operated: Operated) -> dict[str, list[dict]]:
    with operated.api as api:
        return {
            kind: sorted(api.post(f"/{kind}/filter", json={}).json(), key=lambda each: each["name"])
            for kind in ("work_pools", "deployments", "automations", "block_documents")
        }


def test_all_six_are_deployed(operated: Operated) -> None:
    found = {each["name"]: each for each in told(operated)["deployments"] if each["name"] != "nap"}
    assert sorted(found) == NAMES
    for name, deployment in found.items():
        assert deployment["work_pool_name"] == "maft" and deployment["tags"] == ["maft"]
        assert deployment["enforce_parameter_schema"] and "**What will happen.**" in deployment["description"]
        assert str(ROOT) not in str(deployment), name
    (schedule,) = found["nightly"]["schedules"]
    assert schedule["active"] and schedule["schedule"]["timezone"] == TIMEZONE
    assert found["nightly"]["parameters"] == {"config": {"start_from": "champion", "iterations": 1}}


def test_the_next_nights_are_listed(operated: Operated) -> None:
    url = processes.read_records(operated.home)["prefect"].url
    due = wait_for(lambda: [night for night in due_nights(url) if night.society == "arith"], "scheduled run")
    nights = [datetime.fromisoformat(run.at).astimezone(ZoneInfo(TIMEZONE)) for run in due]
    assert len(nights) == 3 and nights == sorted(nights)
    assert {(night.hour, night.minute) for night in nights} == {(2, 0)}
    assert nights[0] > datetime.now(ZoneInfo(TIMEZONE))


@pytest.mark.parametrize(("config", "field"), [({"iterations": 0}, "iterations"), ({"agent": 3}, "agent")])
def test_a_bad_value_is_refused_with_its_field(operated: Operated, config: dict, field: str) -> None:
    with operated.api as api:
        improve = api.get("/deployments/name/improve/improve").json()["id"]
        with pytest.raises(httpx.HTTPStatusError) as error:
            api.post(f"/deployments/{improve}/create_flow_run", json={"parameters": {"config": config}})
    assert error.value.response.status_code == 409 and field in error.value.response.text


def test_deploying_does_not_wait_for_torch() -> None:
    flows = ", ".join(f"flows.{name}" for name in NAMES)
    code = f"import sys, {flows}; print(sorted({{'torch', 'transformers', 'mlflow'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_a_second_time_is_quick_and_changes_nothing(operated: Operated) -> None:
    before, record = told(operated), processes.read_records(operated.home)
    started = time.monotonic()
    assert operated.operate() == ""
    assert time.monotonic() - started < operated.first_seconds / 3
    after = told(operated)
    for each in (one for kinds in (before, after) for kind in kinds.values() for one in kind):
        # The polling of the worker changes these two fields. No other field may change, in particular not `updated`.
        each.pop("last_polled", None)
        each.pop("status", None)
    assert after == before and processes.read_records(operated.home) == record


def test_the_worker_is_known(operated: Operated) -> None:
    status = up.worker_status(operated.home)
    assert status.running and status.online and status.since
    assert status.pid == processes.read_records(operated.home)[WORKER].pid
    assert "MAFT_WEBHOOK_URL" not in psutil.Process(status.pid).environ()


def test_an_unknown_time_zone_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAFT_TIMEZONE", "Europe/Atlantis")
    with pytest.raises(UserError, match="MAFT_TIMEZONE is 'Europe/Atlantis'"):
        deployments.deploy(Home.open(tmp_path), Servers("http://127.0.0.1:9/api", "http://127.0.0.1:9"), print)


def test_what_prefect_refuses_is_told(operated: Operated, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "prefect.yaml").write_text("deployments: [{name: none, entrypoint: 'none.py:none'}]")
    monkeypatch.setattr(deployments, "ROOT", tmp_path)
    url = processes.read_records(operated.home)["prefect"].url
    with pytest.raises(UserError, match=r"(?s)deploy --all` failed in .*none\.py"):
        deployments.deploy(Home.open(tmp_path / "home"), Servers(url, "http://127.0.0.1:9"), print)
