"""Runs one of the processes of `maft up` in the foreground: in a container, or under another supervisor of processes.

The process is the one that `maft up` starts, with the same settings; only its address and its databases may be others.
"""

import os
from collections.abc import Callable
from typing import NoReturn

import httpx

from infra.errors import UserError
from infra.home.home import Home
from infra.home.store import check_store
from infra.operation import processes, servers
from infra.operation.deployments import deploy
from infra.operation.prefect_api import connect
from infra.operation.servers import WORKER
from infra.operation.services import PREFECT, SERVICES, Service, check_stores
from infra.operation.up import hears, worker_command
from infra.operation.worker import worker_name

PUBLIC_URL = "PREFECT_SERVER_UI_API_URL"
"""The address of Prefect's API for browsers, which may reach the server through a published port or a proxy."""


def serve(home: Home, service: Service, host: str, port: int) -> NoReturn:
    """Be this server, until the process is ended.

    Args:
        host, port: the address to listen on; the host 0.0.0.0 is every address of this machine.
    """
    check_stores(service)
    command, environment = servers.command_of(home, service, host, port)
    if url := os.environ.get(PUBLIC_URL):
        environment[PUBLIC_URL] = url
    processes.become(home, service.name, command, environment)


def work(home: Home, say: Callable[[str], None]) -> NoReturn:
    """Register the deployments, then be a worker, until the process is ended. Runs in progress go on with the next one.

    Raises:
        UserError: no servers are named, or as in `servers.up` and `deployments.deploy`.
    """
    for service in SERVICES:
        _named(service)
    check_store()
    found = servers.up(home, say)
    with processes.locked(home, say):
        deploy(home, found, say)
    command, environment = worker_command(home, found)
    processes.become(home, WORKER, command, environment)


def check(home: Home) -> None:
    """Ask the Prefect server whether the home's worker is alive, for the health check of a container.

    Raises:
        UserError: it is not, or the server does not answer.
    """
    name, url = worker_name(home), _named(PREFECT)
    try:
        with connect(url) as api:
            alive = hears(api, name)
    except httpx.HTTPStatusError:
        alive = False  # The work pool is made when the first worker registers the deployments.
    except httpx.HTTPError as error:
        raise UserError(f"{PREFECT.url_variable} is {url}, but no Prefect server answers there ({error})") from error
    if not alive:
        raise UserError(f"the Prefect server at {url} has not heard from the worker {name} of {home.path}")


def _named(service: Service) -> str:
    url = os.environ.get(service.url_variable, "").strip()
    if not url:
        example = service.url(service.first_port)
        raise UserError(
            f"{service.url_variable} is not set; set it to the address of a {service.title} server, such as {example}"
        )
    return url
