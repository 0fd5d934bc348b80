"""Prefect's REST API without an import of Prefect, which takes seconds: for what must be quick or stay small."""

import os
import time
from typing import Any

import httpx

from infra.operation.environment import LOOPBACK

SECONDS = 90.0
"""For an answer: longer than the 60 s for which the server itself waits for its database before it answers 503."""

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between the tries while the server's database is busy, to which it answers 503."""


class PrefectApi(httpx.Client):
    """Its calls raise httpx.HTTPStatusError unless they succeed."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request, again where the server asks for that."""
        for pause in PAUSES:
            response = super().send(request, **options)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(pause)
        else:
            response = super().send(request, **options)
        return response.raise_for_status()


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
