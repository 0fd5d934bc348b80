"""Fixtures: an operated home, and runs in it that are killed while others work."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
import pytest
import yaml
from chromium import CHROMIUM, SECONDS
from naps import woken
from operating import ENDED, HERE, TIMEZONE, Killed, Operated, wait_for
from playwright.sync_api import Page, expect, sync_playwright

from infra.home.home import Home
from infra.operation import processes, servers
from infra.operation.flow_run import WAITS
from infra.operation.servers import WORKER
from tests.conftest import ROOT, free_port, plain_environment


@pytest.fixture(scope="session")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    heard: list[dict[str, Any]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    home = Home.open(tmp_path_factory.mktemp("a home"))
    environment = {
        **plain_environment(),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        # The scheduler must look often, or it misses a scheduled time that is a few seconds ahead.
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        # A run that nobody begins is called late after 15 s by default.
        "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "4",
        "MAFT_PREFECT_PORT": str(free_port()),
        "MAFT_MLFLOW_PORT": str(free_port()),
        "MAFT_TIMEZONE": TIMEZONE,
        "MAFT_WEBHOOK_URL": f"http://127.0.0.1:{listener.server_port}/secret-path",
    }
    found = Operated(home, environment, heard, environment["MAFT_WEBHOOK_URL"])
    try:
        begin = time.monotonic()
        found.operate()
        found.first_seconds = time.monotonic() - begin
        project = tmp_path_factory.mktemp("naps") / "prefect.yaml"
        step = {"prefect.deployments.steps.set_working_directory": {"directory": str(HERE)}}
        pool = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))["deployments"][0]["work_pool"]
        nap = {"name": "nap", "entrypoint": "naps.py:nap", "tags": ["maft"], "work_pool": pool}
        project.write_text(json.dumps({"name": "naps", "pull": [step], "deployments": [nap]}))
        found.python("-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(project), client=True)
        yield found
    finally:
        servers.down(home)
        listener.shutdown()


@pytest.fixture(scope="session")
def killed(operated: Operated, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """Kill -9 the worker, its flow runs and one started by hand, all in mid-run; the supervisor stays."""
    code = """if True:
        from datetime import timedelta
        from infra.operation.automations import lost_runs, put
        from prefect.client.orchestration import get_client
        with get_client(sync_client=True) as client:
            for automation in lost_runs(timedelta(seconds=40)):
                put(client, automation)
    """
    operated.python("-c", code, client=True)
    folder = tmp_path_factory.mktemp("journals")
    names = ("holder", "plain", "dies", "fails", "refused", "by hand", "never starts", "first", "second")
    journal = {name: folder / name for name in names}
    by_hand = subprocess.Popen(
        [sys.executable, str(HERE / "naps.py")],
        env={**operated.client_environment(), "JOURNAL": str(journal["by hand"])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    run = {
        "holder": operated.nap(journal["holder"], 600, 1, society="held"),
        "plain": operated.nap(journal["plain"], 600, 1),
    }
    wait_for(lambda: all(journal[name].exists() for name in ("holder", "plain", "by hand")) or None, "start")
    with operated.api as api:
        alone = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}, "flows": {"name": {"any_": ["improve"]}}}
        run["by hand"] = api.post("/flow_runs/filter", json=alone).json()[0]["id"]
    run["refused"] = operated.nap(journal["refused"], 1, society="held", wait=False)
    run["fails"] = operated.nap(journal["fails"], 0, fault="fails")
    operated.until(run["refused"], *ENDED)
    operated.until(run["fails"], *ENDED)
    record = processes.read_records(operated.home)[WORKER]
    family = [p for p in processes.members(operated.home, WORKER, record) if p.pid != record.pid]
    for process in [psutil.Process(by_hand.pid), *family]:
        os.kill(process.pid, signal.SIGKILL)
    by_hand.wait()
    run["dies"] = operated.nap(journal["dies"], 0, fault="dies")
    run["never starts"] = operated.nap(journal["never starts"], job_variables={"command": "false"})
    run["first"] = operated.nap(journal["first"], 600, society="shared")
    run["second"] = operated.nap(journal["second"], 600, society="shared")
    rivals = (run["first"], run["second"])
    wait_for(lambda: any(WAITS in operated.run(each)["name"] for each in rivals), "run that waits")
    for name in ("first", "second"):
        woken(journal[name]).touch()
    return Killed(journal, run, record.pid, family)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a browser without animations."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        page.set_default_timeout(SECONDS)
        expect.set_options(timeout=SECONDS)
        yield page
        browser.close()
