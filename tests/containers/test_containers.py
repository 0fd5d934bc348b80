"""A whole job on the containers of compose.yaml: servers on PostgreSQL and a bucket, a worker, and nodes of Ray."""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.conftest import SMALL
from tests.containers.conftest import Compose

OURS = ("prefect", "mlflow", "worker", "worker-node", "ray-head", "ray-worker")
ON_RAY = ("runner.name=ray", "runner.address=ray-head:6379", "runner.actors=2", "society=many", "iterations=1")
JOB = ["maft", "run", *SMALL, *(word for setting in ON_RAY for word in ("--set", setting))]
LONGEST_SECONDS = 600


def test_both_pages_answer_on_loopback_and_no_port_is_open_elsewhere(compose: Compose) -> None:
    for variable, path in (("MAFT_PREFECT_PORT", "/api/health"), ("MAFT_MLFLOW_PORT", "/health")):
        assert httpx.get(f"http://127.0.0.1:{compose.variables[variable]}{path}").status_code == 200
    open_at = {
        binding["HostIp"]
        for one in compose.inspect()
        for bindings in one["NetworkSettings"]["Ports"].values()
        for binding in bindings or ()
    }
    assert open_at == {"127.0.0.1"}


def test_nobody_is_root_and_no_program_can_be_changed(compose: Compose) -> None:
    for service in OURS:
        for one in compose.inspect(service):
            assert one["Config"]["User"] == "10001:10001", service
            assert one["HostConfig"]["ReadonlyRootfs"], service
            assert one["HostConfig"]["CapDrop"] == ["ALL"], service
    assert "uid=10001" in compose.docker("exec", compose.ids("worker")[0], "id")


def test_the_image_has_no_build_tools(compose: Compose) -> None:
    found = compose.docker(
        "exec", compose.ids("worker")[0], "sh", "-c", "for p in gcc cc make pip; do command -v $p; done; true"
    )
    assert found == ""


def test_a_login_shell_finds_ray_as_kuberay_needs(compose: Compose) -> None:
    assert "ray, version" in compose.docker("exec", compose.ids("worker")[0], "bash", "-lc", "ray --version")


def test_no_secret_is_in_a_description_a_command_line_or_an_image(compose: Compose) -> None:
    folder = Path(compose.variables["MAFT_SECRETS"])
    secrets = [(folder / name).read_text() for name in ("postgres_password", "s3_password", "ray_token")]
    shown = json.dumps(compose.inspect()) + compose.docker("history", "--no-trunc", "maft-test") + compose("logs")
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    for secret in secrets:
        assert len(secret) == 64
        assert secret not in shown
        assert not any(secret in line for line in lines)


def test_a_job_ends_although_a_node_with_an_actor_is_killed(compose: Compose) -> None:
    job = compose.start("worker", *JOB, "--json")
    try:
        victim = _wait_for_actors(compose, job)
        time.sleep(3.0)
        assert job.poll() is None, "the job ended before the kill"
        compose.docker("kill", victim)
        out, err = job.communicate(timeout=LONGEST_SECONDS)
    finally:
        job.kill()
    assert job.returncode == 0, err
    report = json.loads(out)
    assert [generation["generation"] for generation in report["generations"]] == [0, 1]
    assert re.search(r"1 of 2 actors|lost", err), err


def test_another_home_has_all_results_from_the_bucket(compose: Compose) -> None:
    job = compose.start("worker", "env", "MAFT_HOME=/tmp/other", *JOB)
    out, err = job.communicate(timeout=LONGEST_SECONDS)
    assert job.returncode == 0, err
    assert re.search(r"[1-9]\d* tasks from cache, 0 computed", out), out


def _wait_for_actors(compose: Compose, job: "subprocess.Popen[str]") -> str:
    """The id of a container with an actor, as soon as both nodes have one."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        assert job.poll() is None, job.communicate()
        busy = [
            one for one in compose.ids("ray-worker") if "ray::Actor" in compose.docker("top", one, "-eo", "pid,args")
        ]
        if len(busy) == 2:
            return busy[0]
        time.sleep(1.0)
    raise AssertionError("no actors on both nodes")


def test_a_scheduled_run_goes_on_when_the_worker_is_started_again(compose: Compose) -> None:
    config: dict[str, Any] = {"society": "scheduled", "iterations": 1}
    for setting in SMALL[1::2]:
        path, value = setting.split("=")
        section, _, field = path.rpartition(".")
        (config.setdefault(section, {}) if section else config)[field] = int(value)
    url = f"http://127.0.0.1:{compose.variables['MAFT_PREFECT_PORT']}/api"
    with httpx.Client(base_url=url, timeout=30.0) as api:
        (found,) = api.post("/deployments/filter", json={"deployments": {"name": {"any_": ["improve"]}}}).json()
        run = api.post(f"/deployments/{found['id']}/create_flow_run", json={"parameters": {"config": config}}).json()
        _wait_for_state(api, run["id"], {"RUNNING"})
        time.sleep(5.0)
        compose("restart", "worker")
        _wait_for_state(api, run["id"], {"COMPLETED"})
        assert api.get(f"/flow_runs/{run['id']}").json()["run_count"] == 2
    # The node shares the worker's network and processes, so it was started again too.
    compose.wait("worker-node")


def _wait_for_state(api: httpx.Client, run: str, wanted: set[str]) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while (state := api.get(f"/flow_runs/{run}").json()["state"])["type"] not in wanted:
        assert state["type"] not in {"FAILED", "CRASHED", "COMPLETED"}, state
        assert time.monotonic() < deadline, state
        time.sleep(1.0)
