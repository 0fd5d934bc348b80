"""Registers this project with a Prefect server: the work pool, the automations, and the deployments of prefect.yaml.

The registration is repeated only when one of these or the project's code has changed. Until then, changes that an
operator makes in the Prefect UI stay.
"""

import hashlib
import os
import subprocess
import sys
import zoneinfo
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from evaluation.registry import PLUGINS
from infra.errors import UserError
from infra.home.home import Home
from infra.operation import automations, notices
from infra.operation.environment import client_environment
from infra.operation.notices import POOL
from infra.operation.prefect_api import connect
from infra.operation.servers import Servers

ROOT = Path(__file__).resolve().parents[2]
TIMEZONE_VARIABLE = "MAFT_TIMEZONE"
EVERY_NIGHT = "nightly"
"""The name of the flow of nights, and of the deployment of it that comes with maft."""
SHARED = (
    "version",
    "entrypoint",
    "path",
    "pull_steps",
    "work_pool_name",
    "work_queue_name",
    "job_variables",
    "parameter_openapi_schema",
    "enforce_parameter_schema",
)
"""The fields of the deployment `nightly` that the deployments of single societies have too, see `nightly`."""
SECONDS = 300.0
"""Time limit of one Prefect command. It takes a few seconds, or longer while a training job uses all processors."""


def enter_project() -> dict[str, str]:
    """Make this project the working folder; prefect.yaml calls this as its pull step."""
    os.chdir(ROOT)
    return {"directory": str(ROOT)}


def deploy(home: Home, servers: Servers, say: Callable[[str], None]) -> bool:
    """Bring the Prefect server up to date with this project.

    Args:
        say: called with a line for the user when a registration starts.

    Returns:
        Whether anything was registered.

    Raises:
        UserError: MAFT_TIMEZONE or MAFT_WEBHOOK_URL is unusable, or a Prefect command failed; the message has its
            output.
    """
    environment = {
        **client_environment(home, servers.prefect_api_url, servers.mlflow_tracking_uri),
        TIMEZONE_VARIABLE: timezone(),
        # The output may be quoted in an error message, so it must have no colours and no wrapped lines.
        "PREFECT_CLI_COLORS": "false",
        "COLUMNS": "200",
    }
    kept = home.prefect / "deployed"
    with connect(servers.prefect_api_url) as api:
        wanted = _digest(servers, notices.notification_blocks(api))
        if kept.is_file() and kept.read_text() == wanted and _all_there(api):
            return False
        say(f"deploying {', '.join(_names())} (work pool {POOL})")
        if not api.post("/work_pools/filter", json={"work_pools": {"name": {"any_": [POOL]}}}).json():
            description = "Runs of maft, one process each, on the machine where `maft up` was called."
            api.post("/work_pools/", json={"name": POOL, "type": "process", "description": description})
    kept.unlink(missing_ok=True)
    _run(["-m", "infra.operation.automations"], environment)
    _run(["-m", "prefect", "--no-prompt", "deploy", "--all"], environment)
    with connect(servers.prefect_api_url) as api:
        _renew(api, say)
    kept.write_text(wanted)
    return True


def _names() -> list[str]:
    deployments: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    return [deployment["name"] for deployment in deployments]


def _renew(api: httpx.Client, say: Callable[[str], None]) -> None:
    """Give the nightly deployments of single societies what `nightly` has now, such as the form of a new version."""
    query = {"flows": {"name": {"any_": [EVERY_NIGHT]}}, "work_pools": {"name": {"any_": [POOL]}}}
    found = {each["name"]: each for each in api.post("/deployments/filter", json=query).json()}
    shared = {field: found[EVERY_NIGHT][field] for field in SHARED}
    for name, deployment in found.items():
        if not name.startswith(f"{EVERY_NIGHT}-"):
            continue
        try:
            api.patch(f"/deployments/{deployment['id']}", json=shared)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.CONFLICT:
                raise
            # Its next night would tell of the same; the other deployments must not suffer.
            say(f"run `maft nightly` again for {name}; its config is not right any more: {error.response.text}")


def _all_there(api: httpx.Client) -> bool:
    """Whether the server has all deployments and automations; not so if some were deleted or the server is new."""
    deployed = api.post("/deployments/filter", json={"work_pools": {"name": {"any_": [POOL]}}}).json()
    wanted = automations.names(bool(notices.webhook_url() or notices.notification_blocks(api)))
    found = api.post("/automations/filter", json={"automations": {"name": {"any_": sorted(wanted)}}}).json()
    return {each["name"] for each in deployed} >= set(_names()) and {each["name"] for each in found} == wanted


def _digest(servers: Servers, blocks: Sequence[str]) -> str:
    """SHA-256 of the server's URL, the settings, the notification blocks and all code.

    All code counts, since parameter schemas depend on the whole project.
    """
    digest = hashlib.sha256()
    rooms = ("flows", "tasks", "infra", "agents", "evaluation")
    for path in [ROOT / "prefect.yaml", *(source for room in rooms for source in sorted((ROOT / room).rglob("*.py")))]:
        digest.update(f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    plugins = os.environ.get(PLUGINS, "")
    digest.update(f"{servers.prefect_api_url} {timezone()} {notices.webhook_url()} {blocks} {plugins}".encode())
    return digest.hexdigest()


def timezone() -> str:
    """The time zone of nights: MAFT_TIMEZONE, or UTC.

    Raises:
        UserError: there is no such time zone.
    """
    name = os.environ.get(TIMEZONE_VARIABLE, "").strip() or "UTC"
    try:
        return zoneinfo.ZoneInfo(name).key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UserError(
            f"{TIMEZONE_VARIABLE} is {name!r}, which is not a time zone; set it to one such as Europe/Paris, or unset "
            "it for UTC"
        ) from error


def _run(command: list[str], environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"`python {' '.join(command)}` did not end within {SECONDS:.0f} s; run it again") from error
    if done.returncode != 0:
        said = "\n".join(f"    {line}" for line in done.stdout.splitlines()[-12:])
        raise UserError(f"`python {' '.join(command)}` failed in {ROOT}; its output:\n{said}")
