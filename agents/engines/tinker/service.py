"""The connection to a service with Tinker's API, through the service's own client.

The client repeats a request that may succeed later, with growing pauses. It reads answers as the service sends them;
what is used of them here is token ids and numbers.
"""

import functools
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from agents.engines.protocol import EngineError
from agents.engines.tinker import TinkerSettings
from agents.hosted.errors import safe
from agents.hosted.keys import api_key
from agents.hosted.urls import is_loopback

KEY = "TINKER_API_KEY"
TINKER_URL = "https://tinker.thinkingmachines.dev"
NO_KEY = "tml-none"
"""Sent to a server on this machine if no key is set, since the client demands one that begins like this."""
LOOKS, LOOK_SECONDS = 4, 10.0
"""How often a server is asked for its health before it counts as not there, and how long it may take."""


def check_client(settings: TinkerSettings) -> None:
    """Refuse a missing client or key, before anything is sent.

    Raises:
        EngineError: the message says what to install or to set.
    """
    try:
        import tinker  # noqa: F401
    except ImportError as error:
        raise EngineError(
            "engine.name is tinker, but its client is not installed; install it: pip install -e '.[tinker]'"
        ) from error
    _key(settings)


def _key(settings: TinkerSettings) -> str:
    key = api_key(settings.url or TINKER_URL, variable=KEY)
    return key.get_secret_value() if key else NO_KEY


def connect(settings: TinkerSettings) -> Any:
    """The client of the service; one for each address and process, since each opens a session that it keeps alive.

    Raises:
        EngineError: the service cannot be reached, or refuses the key.
    """
    with one_line_errors(settings):
        return _client(settings.url, _key(settings))


@functools.lru_cache(maxsize=4)
def _client(url: str | None, key: str) -> Any:
    import tinker

    _see(url)
    # Usage data of the client are not sent, unless the user asks for it.
    os.environ.setdefault("TINKER_TELEMETRY", "0")
    # It warns that weights may take a while whenever they are asked for.
    logging.getLogger("tinker.lib.public_interfaces.rest_client").setLevel(logging.ERROR)
    return tinker.ServiceClient(base_url=url, api_key=key)


def _see(url: str | None) -> None:
    """Ask a server for its health: the client itself would ask a server that is not there for five minutes.

    Raises:
        EngineError: it does not answer.
    """
    if url is None:
        return
    again = retry(
        retry=retry_if_exception_type(httpx.TransportError),
        wait=wait_exponential_jitter(initial=0.5, max=5.0),
        stop=stop_after_attempt(LOOKS),
        reraise=True,
    )
    try:
        again(httpx.get)(f"{url}/api/v1/healthz", timeout=LOOK_SECONDS, trust_env=not is_loopback(url))
    except httpx.TransportError as error:
        raise EngineError(
            f"engine.url {url}: {shown(error)}; check that a server with Tinker's API runs there"
        ) from error


@contextmanager
def one_line_errors(settings: TinkerSettings) -> Iterator[None]:
    """Errors of the client and of waiting for it as one line that names the engine, without the key."""
    import tinker

    where = f"engine.url {settings.url}" if settings.url else "engine.name tinker"
    try:
        yield
    except TimeoutError as error:
        raise EngineError(
            f"{where}: no answer within {settings.patience_seconds:g} s; check that the service runs, or raise "
            "engine.patience_seconds"
        ) from error
    except (tinker.TinkerError, ValueError) as error:
        if isinstance(error, ValueError) and type(error) is not ValueError:
            raise  # It is not the client's, which has no type of its own for a failed request.
        raise EngineError(f"{where}: {shown(error)}; check the address, the key and the name of the base") from error


def shown(error: BaseException) -> str:
    """A service's reason made safe for a log."""
    return safe(str(error), os.environ.get(KEY, "").strip()) or type(error).__name__
