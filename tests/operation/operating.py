"""An operated home, and functions that use it as an operator does, by commands and by the API of its Prefect server."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from infra.home.home import Home
from infra.operation import processes
from infra.operation.prefect_api import connect
from infra.operation.servers import WORKER

HERE = Path(__file__).resolve().parent
TIMEZONE = "Europe/Paris"
OPERATE = """
import sys
from infra.home.home import Home
from infra.operation import up
up.operate(Home.open(sys.argv[1]), print)
"""
PATIENCE_SECONDS = 900
"""The time limit of events that take seconds on an idle machine."""
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


@dataclass
class Operated:
    """A home, the environment of its commands, and the messages that it posted to the webhook."""

    home: Home
    environment: dict[str, str]
    heard: list[dict[str, Any]]
    heard_at: str = ""
    """The address of the listener that keeps what it hears."""
    first_seconds: float = 0.0
    """The time that the first `operate` took."""

    def python(self, *arguments: str, client: bool = False) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.client_environment() if client else self.environment,
            cwd=HERE,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def operate(self) -> str:
        return self.python("-c", OPERATE, str(self.home.path)).stdout

    @property
    def api(self) -> httpx.Client:
        return connect(processes.read_records(self.home)["prefect"].url)

    @property
    def tracking_uri(self) -> str:
        return processes.read_records(self.home)["mlflow"].url

    def client_environment(self) -> dict[str, str]:
        records = processes.read_records(self.home)
        own = {"MAFT_HOME": str(self.home.path), "PREFECT_HOME": str(self.home.prefect)}
        return {
            **self.environment,
            **own,
            "PREFECT_API_URL": records["prefect"].url,
            "MLFLOW_TRACKING_URI": records["mlflow"].url,
        }

    def supervisor(self) -> psutil.Process:
        found = processes.leader(self.home, WORKER, processes.read_records(self.home)[WORKER])
        assert found is not None
        return found

    def nap(
        self, journal: Path, *seconds: float, job_variables: dict[str, str] | None = None, **parameters: Any
    ) -> str:
        """Start a run as the UI does; return its id."""
        with self.api as api:
            deployment = api.get("/deployments/name/nap/nap").json()["id"]
            given = {"journal": str(journal), "seconds": seconds, **parameters}
            wanted = {"parameters": given, "job_variables": job_variables or {}}
            return str(api.post(f"/deployments/{deployment}/create_flow_run", json=wanted).json()["id"])

    def page(self, run: str) -> str:
        return processes.read_records(self.home)["prefect"].url.removesuffix("/api") + f"/runs/flow-run/{run}"

    def run(self, run: str) -> dict[str, Any]:
        with self.api as api:
            found: dict[str, Any] = api.get(f"/flow_runs/{run}").json()
        return found

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        """The runs of the deployment of this name."""
        with self.api as api:
            found: list[dict[str, Any]] = api.post(
                "/flow_runs/filter", json={"deployments": {"name": {"any_": [deployment]}}}
            ).json()
        return found

    def artifacts(self, run: str, kind: str) -> list[dict[str, Any]]:
        """The artifacts of the run that are of this type."""
        wanted = {"artifacts": {"flow_run_id": {"any_": [run]}, "type": {"any_": [kind]}}}
        with self.api as api:
            found: list[dict[str, Any]] = api.post("/artifacts/filter", json=wanted).json()
        return found

    def log(self, run: str) -> str:
        """The log of the run, as its page shows it."""
        with self.api as api:
            lines = api.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [run]}}}).json()
        return "\n".join(line["message"] for line in lines)

    def inside(self, run: str) -> list[dict[str, Any]]:
        """The subflow runs of the run, and the task runs of both."""
        with self.api as api:
            subflows = api.post("/flow_runs/filter", json={"flow_runs": {"parent_flow_run_id": {"any_": [run]}}}).json()
            ids = [run, *(subflow["id"] for subflow in subflows)]
            tasks = api.post("/task_runs/filter", json={"flow_runs": {"id": {"any_": ids}}}).json()
        return [*subflows, *tasks]

    def until(self, run: str, *states: str) -> dict[str, Any]:
        """Wait until the run is in a state of one of these types; return the run."""

        def there() -> dict[str, Any] | None:
            found = self.run(run)
            return found if found["state"]["type"] in states else None

        return wait_for(there, f"{states} of {run}")


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE_SECONDS} s"
        time.sleep(0.5)
    return found


@dataclass
class Killed:
    """Runs by their purpose, and the processes that were killed."""

    journal: dict[str, Path]
    run: dict[str, str]
    supervisor: int
    family: list[psutil.Process]

    def starts(self, name: str) -> list[int]:
        return [int(pid) for pid in self.journal[name].read_text().split()] if self.journal[name].exists() else []
