"""A client of Prefect's REST API that does not import Prefect, which takes seconds."""

import os
from typing import Any

import httpx
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential

from infra.operation.environment import LOOPBACK

SECONDS = 90.0
"""Time limit of a request: longer than the 60 s that the server waits for its database before it answers 503."""

TRIES = 6
FIRST_PAUSE_SECONDS = 0.5
"""Pause after the first answer 503, which says that the server's database is busy; doubled after each later one."""


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE


class PrefectApi(httpx.Client):
    """An HTTP client whose calls raise httpx.HTTPStatusError unless they succeed."""

    @retry(
        retry=retry_if_exception(_is_busy),
        wait=wait_exponential(multiplier=FIRST_PAUSE_SECONDS),
        stop=stop_after_attempt(TRIES),
        reraise=True,
    )
    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request; repeat it up to TRIES times while the server answers 503.

        Raises:
            httpx.HTTPStatusError: the answer is an error.
            httpx.TransportError: there is no answer.
        """
        return super().send(request, **options).raise_for_status()


def connect(api_url: str) -> PrefectApi:
    """A client of the server at this URL; it uses PREFECT_API_KEY or PREFECT_API_AUTH_STRING if one is set.

    Args:
        api_url: such as `http://127.0.0.1:4200/api`.
    """
    loopback = api_url.startswith(f"http://{LOOPBACK}:")
    headers, auth = {}, None
    if key := os.environ.get("PREFECT_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    elif text := os.environ.get("PREFECT_API_AUTH_STRING"):
        user, _, password = text.partition(":")
        auth = httpx.BasicAuth(user, password)
    return PrefectApi(
        base_url=api_url,
        headers=headers,
        auth=auth,
        timeout=SECONDS,
        # A proxy could not reach this machine's loopback address, and certificates take time to load.
        trust_env=not loopback,
        verify=not loopback,
    )
