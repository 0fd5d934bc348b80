"""Prefect's REST API, without the seconds that an import of Prefect takes."""

import os
from typing import Any

import httpx
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential

from infra.operation.environment import LOOPBACK

SECONDS = 90.0
"""For an answer: longer than the 60 s for which the server itself waits for its database before it answers 503."""

TRIES = 6
FIRST_PAUSE_SECONDS = 0.5
"""After the first try that finds the server's database busy, which it says by a 503; doubled after each later one."""


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE


class PrefectApi(httpx.Client):
    """Its calls raise httpx.HTTPStatusError unless they succeed."""

    @retry(
        retry=retry_if_exception(_is_busy),
        wait=wait_exponential(multiplier=FIRST_PAUSE_SECONDS),
        stop=stop_after_attempt(TRIES),
        reraise=True,
    )
    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request, again where the server asks for that.

        Raises:
            httpx.HTTPStatusError: the answer is no success.
            httpx.TransportError: there is no answer.
        """
        return super().send(request, **options).raise_for_status()


def connect(api_url: str) -> PrefectApi:
    """A client of the server at this URL; PREFECT_API_KEY or PREFECT_API_AUTH_STRING are used where set.

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
        # A proxy from the environment would be asked for its own loopback, and certificates take time to load.
        trust_env=not loopback,
        verify=not loopback,
    )
