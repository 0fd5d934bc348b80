"""Starts, stops and inspects the Prefect server and the MLflow server of a home.

`up` starts each server that does not run yet, on loopback only and detached from the caller. If the user sets
PREFECT_API_URL or MLFLOW_TRACKING_URI, the server at that address is used instead. Every command runs this module at
its start, so it does not import Prefect, MLflow or torch, which takes seconds.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import httpx

from infra.errors import UserError
from infra.home.home import Home
from infra.operation import environment, ports, processes
from infra.operation.processes import StartedProcess
from infra.operation.services import MLFLOW, PREFECT, SERVICES, Service, check_stores, require_same_stores

START_SECONDS = 300.0
"""Time limit of a start. The first one creates the databases: 15 s on two idle cores, minutes beside a training job."""

PORTS_TRIED = 20


WORKER = "worker"
"""The third process of a home, which `infra.operation.up` starts."""


@dataclass(frozen=True)
class Servers:
    """The addresses of both servers, in the form that their clients use."""

    prefect_api_url: str
    mlflow_tracking_uri: str

    @property
    def prefect_ui_url(self) -> str:
        """The address of the Prefect UI; the MLflow UI is at `mlflow_tracking_uri` itself."""
        return self.prefect_api_url.removesuffix("/api")


@dataclass(frozen=True)
class ServerStatus:
    """The state of one server; `url`, `pid` and `since` (ISO 8601, UTC) are None if unknown.

    `stores` are the places where it stores, unless in the home.
    """

    name: str
    url: str | None
    pid: int | None
    running: bool
    answering: bool
    since: str | None
    started_by_us: bool
    stores: list[str]


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def up(home: Home, say: Callable[[str], None] = _to_stderr) -> Servers:
    """Start both servers and wait until they answer; a server that runs already is left as it is.

    The ports are MAFT_PREFECT_PORT and MAFT_MLFLOW_PORT; if unset, the ports of the last start; if there was none or
    they are in use, the first free ports from 4200 and 5000 on. A server stores in the home, or where its
    `store_variables` say.

    Args:
        say: called with lines for the user: a start, an unusual port, a wait for another command.

    Raises:
        UserError: a server that the user named is not reachable, a chosen port is in use, a server ended or did not
            answer within START_SECONDS, servers.json is damaged, or a running server stores elsewhere than the
            variables say.
    """
    with processes.locked(home, say):
        records = processes.read_records(home)
        external = {service: url for service in SERVICES if (url := _external(service, records.get(service.name)))}
        for service, url in external.items():
            _require_reachable(service, url)
        own = [service for service in SERVICES if service not in external]
        chosen = ports.chosen_ports(service.port_variable for service in own)
        missing = []
        for service in own:
            record = records.get(service.name)
            if record is None or processes.leader(home, service.name, record) is None:
                missing.append(service)
            elif chosen.get(service.port_variable, record.port) != record.port:
                raise UserError(
                    f"{service.port_variable} is {chosen[service.port_variable]}, but the {service.title} server of "
                    f"{home.path} runs on port {record.port} already; stop it with `maft down`, or unset the variable"
                )
            else:
                require_same_stores(home, service, record)
        for service in missing:
            check_stores(service)
        if missing:
            say(f"starting {' and '.join(service.title for service in missing)} (log files in {home.logs})")
        for service in missing:
            _start(home, service, chosen, records, say)
        _wait(home, own, chosen, records, say)
    urls = {service: external.get(service) or records[service.name].url for service in SERVICES}
    return Servers(urls[PREFECT], urls[MLFLOW])


def down(home: Home) -> list[str]:
    """Stop the processes that `up` and `operate` started for this home, and no others: the worker, then the servers.

    Returns:
        The names of the stopped processes; empty if none ran.

    Raises:
        UserError: servers.json is damaged.
    """
    if not home.path.is_dir():
        return []
    with processes.locked(home, _to_stderr):
        records = processes.read_records(home)
        running = {
            name: processes.members(home, name, records.get(name)) for name in (WORKER, PREFECT.name, MLFLOW.name)
        }
        # Stop the worker's supervisor first: it ends its child processes and reports their runs to the server.
        supervisor = processes.leader(home, WORKER, records.get(WORKER))
        processes.stop([supervisor] if supervisor else [])
        processes.stop(running[WORKER])
        processes.stop(running[PREFECT.name] + running[MLFLOW.name])
        home.servers_file.unlink(missing_ok=True)
    return [name for name, members in running.items() if members]


def status(home: Home) -> list[ServerStatus]:
    """The present state of both servers, Prefect first. Starts, stops and writes nothing.

    Raises:
        UserError: servers.json is damaged.
    """
    records = processes.read_records(home)
    found = []
    for service in SERVICES:
        record = records.get(service.name)
        if url := _external(service, record):
            answers = _fault(service, url) is None
            found.append(ServerStatus(service.name, url, None, answers, answers, None, False, []))
        elif record and processes.leader(home, service.name, record):
            answers = _answers(home, service, record)
            stores = [*record.stores.values()]
            found.append(
                ServerStatus(service.name, record.url, record.pid, True, answers, record.started, True, stores)
            )
        else:
            found.append(ServerStatus(service.name, None, None, False, False, None, False, []))
    return found


def _external(service: Service, record: StartedProcess | None) -> str | None:
    """The URL that the user exported; None if it is the home's own URL, which maft's child processes inherit."""
    url = os.environ.get(service.url_variable, "").strip().rstrip("/")
    return url if url and (record is None or url != record.url) else None


def _require_reachable(service: Service, url: str) -> None:
    if not url.startswith(("http://", "https://")):
        fault: str | None = "not an http:// or https:// address"
    else:
        fault = _fault(service, url)
    if fault:
        raise UserError(
            f"{service.url_variable} is {url}, but no {service.title} server answers there ({fault}); set it to the "
            f"address of a running one, such as {service.url(service.first_port)}, or unset it so that maft starts one"
        )


def _fault(service: Service, url: str) -> str | None:
    """Why there is no healthy server at this URL; None if there is one."""
    loopback = url.startswith(f"http://{environment.LOOPBACK}:")
    try:
        # A proxy could not reach this machine's loopback address, and certificates take time to load.
        reply = httpx.get(f"{url}/health", timeout=10.0, trust_env=not loopback, verify=not loopback)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return str(error) or type(error).__name__
    # A workspace of Prefect Cloud has no health page, so any answer but a server error counts as healthy.
    if "/accounts/" in url and reply.status_code < 500:
        return None
    if reply.status_code == 200 and reply.text.strip().lower() == service.healthy:
        return None
    return f"/health answers {reply.status_code} {reply.text.strip()[:40]!r}"


def _start(
    home: Home, service: Service, chosen: dict[str, int], records: dict[str, StartedProcess], say: Callable[[str], None]
) -> None:
    """Start a server and record it; does not wait for its answer."""
    last = records.pop(service.name, None)
    # Child processes of a killed server still hold the port and the database.
    processes.stop(processes.members(home, service.name, last))
    if service.port_variable in chosen:
        port = ports.chosen_port(service.port_variable, chosen[service.port_variable])
    else:
        usual = range(service.first_port, service.first_port + PORTS_TRIED)
        # The last port comes first, so that links to the pages of this home stay valid.
        candidates = [*([last.port] if last else []), *(port for port in usual if port not in chosen.values())]
        port = ports.free_port(candidates, service.port_variable, service.title, say)
    command, variables = command_of(home, service, environment.LOOPBACK, port)
    started = processes.start(home, service.name, command, variables, port, service.url(port))
    records[service.name] = replace(started, stores=environment.named_stores(service.store_variables))
    processes.write_records(home, records)


def command_of(home: Home, service: Service, host: str, port: int) -> tuple[list[str], dict[str, str]]:
    """The command of a home's server, which must run in the home folder, and its environment variables."""
    at = ["--host", host, "--port", str(port)]
    if service is PREFECT:
        command = ["infra.operation.prefect_server", "server", "start", *at]
        return [sys.executable, "-m", *command], environment.prefect_server_environment(home, port)
    command = ["mlflow", "server", *at, "--workers", "1", *environment.mlflow_server_stores(home)]
    return [sys.executable, "-m", *command], environment.mlflow_server_environment()


def _wait(
    home: Home,
    own: list[Service],
    chosen: dict[str, int],
    records: dict[str, StartedProcess],
    say: Callable[[str], None],
) -> None:
    """Wait until all servers answer."""
    deadline = time.monotonic() + START_SECONDS
    waiting = list(own)
    while waiting:
        for service in list(waiting):
            record = records[service.name]
            if processes.leader(home, service.name, record) is None:
                if service.port_variable in chosen or ports.occupant(record.port) is None:
                    tail = processes.log_tail(home, service.name)
                    raise UserError(f"the {service.title} server ended while it started; {tail}")
                # The server of another home took the port after it was found free, so try another port.
                _start(home, service, chosen, records, say)
            elif _answers(home, service, record):
                waiting.remove(service)
            elif time.monotonic() > deadline:
                raise UserError(
                    f"the {service.title} server (pid {record.pid}) did not answer at {record.url}/health within "
                    f"{START_SECONDS:.0f} s; run `maft down`, then try again; {processes.log_tail(home, service.name)}"
                )
        if waiting:
            time.sleep(0.2)


def _answers(home: Home, service: Service, record: StartedProcess) -> bool:
    """Whether the recorded server answers; while it starts, the server of another home may listen on its port."""
    leader = processes.leader(home, service.name, record)
    if leader is None or record.port not in processes.listening_ports(leader):
        return False
    return _fault(service, record.url) is None
