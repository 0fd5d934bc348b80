"""The containers of compose.yaml, from images that are built here. Run the tests with `make test-containers`.

MAFT_DOCKER_FOLDER keeps the images between runs; without it, they are built anew in a temporary folder (12 minutes).
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree, which
from tempfile import mkdtemp
from typing import Any

import pytest

from tests.conftest import ROOT, free_port
from tests.containers.daemon import PROGRAMS, Docker, build_images, docker_daemon

# Among other tests, these would take the cores; Docker needs them for itself.
collect_ignore = ["test_containers.py"] if "PYTEST_XDIST_WORKER" in os.environ else []

HEALTHY_SECONDS = 300.0


@dataclass(frozen=True)
class Compose:
    """The containers of compose.yaml."""

    docker: Docker
    variables: dict[str, str]

    def __call__(self, *arguments: str) -> str:
        files = [f"--file={ROOT / file}" for file in ("compose.yaml", "tests/containers/compose.yaml")]
        return self.docker.run("docker-compose", *files, *arguments, variables=self.variables)

    def ids(self, service: str = "") -> list[str]:
        """The ids of the containers of a service, or of all."""
        return self("ps", "--quiet", *([service] if service else [])).split()

    def inspect(self, service: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", *self.ids(service)))
        return found

    def start(self, service: str, *command: str) -> "subprocess.Popen[str]":
        """Start a command in the first container of a service."""
        whole = ["docker", "exec", self.ids(service)[0], *command]
        return subprocess.Popen(
            whole, env=self.docker.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait(self, service: str = "") -> None:
        """Wait until every container of a service, or of all, that has a health check is healthy."""
        deadline = time.monotonic() + HEALTHY_SECONDS
        while waiting := [one["Name"] for one in self.inspect(service) if _health(one) != "healthy"]:
            assert time.monotonic() < deadline, f"not healthy: {waiting}\n{self('logs', '--tail=20')}"
            time.sleep(2.0)


def _health(container: dict[str, Any]) -> str:
    return str(container["State"].get("Health", {}).get("Status", "healthy"))


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    missing = sorted({package for program, package in PROGRAMS.items() if not which(program)})
    if missing:
        pytest.skip(f"there is no Docker here; apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("a Docker daemon of the tests' own needs root")
    kept = os.environ.get("MAFT_DOCKER_FOLDER")
    # A short path, since the path of a socket is short.
    folder = Path(kept or mkdtemp(prefix="maft-docker-"))
    folder.mkdir(exist_ok=True)
    try:
        with docker_daemon(folder) as docker:
            build_images(docker)
            yield docker
    except OSError as error:
        pytest.skip(f"no Docker daemon can be started here: {error}")
    finally:
        if not kept:
            rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def compose(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """All containers, up and healthy."""
    folder = tmp_path_factory.mktemp("compose")
    # Containers have other users.
    for above in (folder, *folder.parents[:2]):
        above.chmod(0o755)
    (folder / "files").mkdir()
    variables = {
        "COMPOSE_PROJECT_NAME": "maft-test",
        "MAFT_IMAGE": "maft-test",
        "POSTGRES_IMAGE": "maft-test-postgres",
        "S3_IMAGE": "maft-test-s3",
        "MAFT_SECRETS": str(folder / "secrets"),
        "MAFT_FILES": str(folder / "files"),
        "MAFT_PREFECT_PORT": str(free_port()),
        "MAFT_MLFLOW_PORT": str(free_port()),
    }
    subprocess.run([ROOT / "infra/containers/make_secrets", folder / "secrets"], check=True)
    compose = Compose(docker, variables)
    try:
        compose("up", "--detach", "--no-build")
        compose.wait()
        yield compose
    finally:
        compose("down", "--volumes", "--timeout", "20")
