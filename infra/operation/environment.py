"""The environment that Prefect and MLflow run with, in this process and in their servers.

Prefect reads its settings once, at import, so this module imports neither and comes first.
"""

import os
import sys
from pathlib import Path

from infra.home.home import Home

LOOPBACK = "127.0.0.1"

HEARTBEAT_SECONDS = 30
"""Between two signs of life of a flow run; the least that Prefect allows."""

_DEFAULTS = {
    # Nothing is reported to anybody. MLflow wants the word `true`; `1` means nothing to it.
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # The command line prints its own links and progress, once.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
"""A user's own export of these wins: they change what is said and to whom, never where something is kept."""

_ELSEWHERE = ("PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK", "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK")
"""These would send results out of the home, where `infra.home.cache` looks for them."""

_PREFECT_SERVER_KEEPS = ("PREFECT_SERVER_", "PREFECT_LOGGING_", "PREFECT_UI_")
_MLFLOW_SERVER_KEEPS = ("MLFLOW_SERVER_", "MLFLOW_LOGGING_", "MLFLOW_DISABLE_TELEMETRY")
_PREFECT_SERVER_DROPS = (
    "PREFECT_SERVER_DATABASE_",
    "PREFECT_SERVER_API_BASE_PATH",
    "PREFECT_SERVER_UI_API_URL",
    "PREFECT_SERVER_UI_SERVE_BASE",
    "PREFECT_UI_API_URL",
    "PREFECT_UI_SERVE_BASE",
)


def apply_environment(home: Home, prefect_api_url: str, mlflow_tracking_uri: str) -> None:
    """Set the environment variables of Prefect and MLflow for this process and those that it starts.

    Call it before Prefect is imported; calling it again with the same arguments is fine at any time.

    Args:
        home: results and Prefect's own files go there, whatever the user exported.
        prefect_api_url: such as `http://127.0.0.1:4200/api`.
        mlflow_tracking_uri: such as `http://127.0.0.1:5000`.

    Raises:
        RuntimeError: Prefect is imported already and runs with other settings.
    """
    decided = _decided(home, prefect_api_url, mlflow_tracking_uri)
    changed = [name for name, value in decided.items() if os.environ.get(name) != value and name.startswith("PREFECT_")]
    if changed and "prefect" in sys.modules:
        raise RuntimeError(f"prefect was imported before its settings were made: {', '.join(changed)}")
    for name in _ELSEWHERE:
        os.environ.pop(name, None)
    os.environ.update(client_environment(home, prefect_api_url, mlflow_tracking_uri))


def client_environment(home: Home, prefect_api_url: str, mlflow_tracking_uri: str) -> dict[str, str]:
    """All variables of a process that uses Prefect and MLflow; arguments as for `apply_environment`."""
    exported = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return {**_DEFAULTS, **exported, **_decided(home, prefect_api_url, mlflow_tracking_uri)}


def _decided(home: Home, prefect_api_url: str, mlflow_tracking_uri: str) -> dict[str, str]:
    """What the user's exports do not change."""
    return {
        "MAFT_HOME": str(home.path),
        "PREFECT_API_URL": prefect_api_url,
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(home.results),
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        # `infra.operation.automations` counts on it.
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        "MLFLOW_TRACKING_URI": mlflow_tracking_uri,
        **_without_proxy(),
    }


def prefect_server_environment(home: Home, port: int) -> dict[str, str]:
    """Environment of the Prefect server of a home. Its working folder must be the home.

    Args:
        home: database and web pages go there. The pages would else be unpacked into the installed package, where
            two first starts at once damage each other and a container may not write.
        port: the one it will listen on.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_")
        or (name.startswith(_PREFECT_SERVER_KEEPS) and not name.startswith(_PREFECT_SERVER_DROPS))
    }
    return {
        **_DEFAULTS,
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # The default lets any web page that the user visits call the API.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{LOOPBACK}:{port},http://localhost:{port}",
        "PREFECT_UI_STATIC_DIRECTORY": str(home.prefect / "ui"),
        # Leases in memory are forgotten by a restart, and the slots that they held would stay taken for ever.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # The slot of a society whose run was killed is free again, and taken, seconds after its lease has ended.
        "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "5",
        "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
        **kept,
        "PREFECT_HOME": str(home.prefect),
        # Relative to the working folder: a home may have characters in its path that mean something in a URL.
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{_inside(home, home.prefect / 'prefect.db')}",
        # The pages would else call port 4200, whatever --port says.
        "PREFECT_SERVER_UI_API_URL": f"http://{LOOPBACK}:{port}/api",
    }


def mlflow_server_environment() -> dict[str, str]:
    """Environment of the MLflow server of a home; where it keeps things are arguments, see `mlflow_server_stores`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "_MLFLOW_")) or name.startswith(_MLFLOW_SERVER_KEEPS)
    }
    # Jobs (scorers that run in the server) would be six more processes of 250 MB each.
    return {**_DEFAULTS, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **kept}


def mlflow_server_stores(home: Home) -> list[str]:
    """Arguments of `mlflow server` that put database and artifacts into the home, which must be its working folder."""
    database, artifacts = _inside(home, home.mlflow / "mlflow.db"), _inside(home, home.mlflow_artifacts)
    return ["--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", artifacts, "--serve-artifacts"]


def _inside(home: Home, path: Path) -> str:
    return path.relative_to(home.path).as_posix()


def _without_proxy() -> dict[str, str]:
    """Keeps calls to the home's own servers off a proxy, where the user has one."""
    if not any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in os.environ):
        return {}
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in exempt.split(",") if host.strip()]
    joined = ",".join(dict.fromkeys([*hosts, LOOPBACK, "localhost"]))
    return {"no_proxy": joined, "NO_PROXY": joined}
