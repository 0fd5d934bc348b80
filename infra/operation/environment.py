"""Environment variables of Prefect and MLflow, for this process and for the servers.

This module imports neither of the two at its top, since Prefect reads its settings when it is imported.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from infra.home.home import Home

LOOPBACK = "127.0.0.1"

HEARTBEAT_SECONDS = 30
"""Seconds between two heartbeats of a flow run; the shortest time that Prefect allows."""

RECORD_SECONDS = 1
"""Seconds until the Prefect server has written a change of a task's state; Prefect takes whole seconds only."""

DEFAULTS = {
    # Nothing reports usage data. MLflow accepts only the word `true`, not `1`.
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
"""Defaults that the user's exports override; they decide what is printed and reported, not where files are kept."""

_ELSEWHERE = ("PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK", "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK")
"""Variables that are removed, since they would store results outside the home, where `infra.home.cache` looks."""

PREFECT_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
MLFLOW_DATABASE, MLFLOW_FILES = "MLFLOW_BACKEND_STORE_URI", "MLFLOW_ARTIFACTS_DESTINATION"
"""Variables by which users name where a server stores, instead of the home. The URLs may have passwords."""

_PREFECT_SERVER_KEEPS = ("PREFECT_SERVER_", "PREFECT_LOGGING_", "PREFECT_UI_")
_PREFECT_DATABASE_SETTINGS = "PREFECT_SERVER_DATABASE_"
_MLFLOW_STORES = (MLFLOW_DATABASE, MLFLOW_FILES, "MLFLOW_SQLALCHEMYSTORE_", "MLFLOW_S3_", "MLFLOW_BOTO_")
_MLFLOW_SERVER_KEEPS = ("MLFLOW_SERVER_", "MLFLOW_LOGGING_", "MLFLOW_DISABLE_TELEMETRY", *_MLFLOW_STORES)
_PREFECT_SERVER_DROPS = (
    "PREFECT_SERVER_API_BASE_PATH",
    "PREFECT_SERVER_UI_API_URL",
    "PREFECT_SERVER_UI_SERVE_BASE",
    "PREFECT_UI_API_URL",
    "PREFECT_UI_SERVE_BASE",
)


def apply_environment(home: Home, prefect_api_url: str, mlflow_tracking_uri: str) -> None:
    """Set the environment variables of Prefect and MLflow for this process and its child processes.

    Call it before flows are imported. If Prefect was imported before, its settings are read again.

    Args:
        home: results and Prefect's own files go there, even if the user exported other folders.
        prefect_api_url: such as `http://127.0.0.1:4200/api`.
        mlflow_tracking_uri: such as `http://127.0.0.1:5000`.
    """
    decided = _decided(home, prefect_api_url, mlflow_tracking_uri)
    changed = any(os.environ.get(name) != value for name, value in decided.items() if name.startswith("PREFECT_"))
    for name in _ELSEWHERE:
        os.environ.pop(name, None)
    os.environ.update(client_environment(home, prefect_api_url, mlflow_tracking_uri))
    if changed and "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context
        from prefect.logging.configuration import setup_logging

        refresh_global_settings_context()
        setup_logging(incremental=False)


def client_environment(home: Home, prefect_api_url: str, mlflow_tracking_uri: str) -> dict[str, str]:
    """All variables of a process that uses Prefect and MLflow; arguments as for `apply_environment`."""
    exported = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return {**DEFAULTS, **exported, **_decided(home, prefect_api_url, mlflow_tracking_uri)}


def _decided(home: Home, prefect_api_url: str, mlflow_tracking_uri: str) -> dict[str, str]:
    """The variables that the user's exports do not override."""
    return {
        "MAFT_HOME": str(home.path),
        "PREFECT_API_URL": prefect_api_url,
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(home.results),
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        # `infra.operation.automations` relies on this frequency.
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        "MLFLOW_TRACKING_URI": mlflow_tracking_uri,
        **_without_proxy(),
    }


def prefect_server_environment(home: Home, port: int) -> dict[str, str]:
    """The environment of a home's Prefect server, which must run in the home folder.

    Args:
        home: the web pages go there, and the database, unless PREFECT_DATABASE names another one. By default, Prefect
            unpacks the pages into its package, which fails in a read-only container and when two servers do it at once.
        port: the port that the server will listen on.
    """
    # The path is relative to the working folder, since the home's path may have characters special in a URL.
    database = {PREFECT_DATABASE: f"sqlite+aiosqlite:///{_inside(home, home.prefect / 'prefect.db')}"}
    if os.environ.get(PREFECT_DATABASE):
        database = {name: text for name, text in os.environ.items() if name.startswith(_PREFECT_DATABASE_SETTINGS)}
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_")
        or (
            name.startswith(_PREFECT_SERVER_KEEPS)
            and not name.startswith((*_PREFECT_SERVER_DROPS, _PREFECT_DATABASE_SETTINGS))
        )
    }
    return {
        **DEFAULTS,
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # The default lets any web page that the user visits call the API.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{LOOPBACK}:{port},http://localhost:{port}",
        "PREFECT_UI_STATIC_DIRECTORY": str(home.prefect / "ui"),
        # If leases were kept in memory, a restart would lose them, and their slots would stay taken for ever.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # The slot of a killed run is free, and a waiting run takes it, within seconds after its lease has ended.
        "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "5",
        "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
        # By default, each change of a task's state is written by itself, which takes half of the server's time.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "10",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": str(RECORD_SECONDS),
        **kept,
        "PREFECT_HOME": str(home.prefect),
        **database,
        # By default, the pages call port 4200, even if --port is another one.
        "PREFECT_SERVER_UI_API_URL": f"http://{LOOPBACK}:{port}/api",
    }


def mlflow_server_environment() -> dict[str, str]:
    """The environment of a home's MLflow server; `mlflow_server_stores` has the arguments that say where it stores."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "_MLFLOW_")) or name.startswith(_MLFLOW_SERVER_KEEPS)
    }
    # Jobs (scorers that run in the server), which maft does not use, would take six more processes of 250 MB each.
    return {**DEFAULTS, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **kept}


def mlflow_server_stores(home: Home) -> list[str]:
    """Arguments of `mlflow server`, run in the home folder, that put its database and artifacts into the home.

    What MLFLOW_DATABASE or MLFLOW_FILES names is left out: MLflow reads these variables itself, and a command line,
    unlike an environment, is shown to every user of the machine.
    """
    arguments = ["--serve-artifacts"]
    if not os.environ.get(MLFLOW_DATABASE):
        arguments += ["--backend-store-uri", f"sqlite:///{_inside(home, home.mlflow / 'mlflow.db')}"]
    if not os.environ.get(MLFLOW_FILES):
        arguments += ["--artifacts-destination", _inside(home, home.mlflow_artifacts)]
    return arguments


def named_stores(variables: Iterable[str]) -> dict[str, str]:
    """Those of these variables that are set, with their URLs without passwords."""
    return {name: without_password(os.environ[name]) for name in variables if os.environ.get(name)}


def without_password(url: str) -> str:
    """A URL without its password and its query, which may have one too."""
    scheme, separator, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{credentials.partition(':')[0]}{at}{place.partition('?')[0]}"


def _inside(home: Home, path: Path) -> str:
    return path.relative_to(home.path).as_posix()


def _without_proxy() -> dict[str, str]:
    """Variables that exempt the home's own servers from the user's proxy; empty if there is no proxy."""
    if not any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in os.environ):
        return {}
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in exempt.split(",") if host.strip()]
    joined = ",".join(dict.fromkeys([*hosts, LOOPBACK, "localhost"]))
    return {"no_proxy": joined, "NO_PROXY": joined}
