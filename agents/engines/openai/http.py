"""Requests to one server with OpenAI's HTTP API: bounded answers, retries with backoff, and a key that is never shown.

This uses httpx and not OpenAI's own client, which reads answers of any length, follows redirects and also takes its
server, headers and organisation from the environment.
"""

import ipaddress
import logging
import os
import random
import threading
import time
from email.utils import parsedate_to_datetime
from functools import partial
from types import TracebackType
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr
from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event, stop_after_attempt

from agents.engines.openai import OpenAISettings
from agents.engines.protocol import EngineError
from agents.hosted.asking import StoppedError

log = logging.getLogger("maft.engines")

KEY = "OPENAI_API_KEY"
MOST_BYTES = 8 * 2**20
"""Length of the longest answer that is read."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between attempts: the pause doubles each time, up to the longest, whatever Retry-After says."""


class RefusedError(EngineError):
    """The server refused a request for good: any 4xx but 429, or a redirect. `said` is its reason, safe for a log."""

    def __init__(self, message: str, status: int, said: str) -> None:
        super().__init__(message)
        self.status, self.said = status, said


class _PassingError(Exception):
    """The server is busy, fails or cannot be reached; `asked` is how many seconds it asks to wait."""

    def __init__(self, fault: str, asked: float = 0.0) -> None:
        super().__init__(fault)
        self.asked = asked


def is_loopback(url: str) -> bool:
    """Whether the URL names this machine: localhost or a loopback address."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def api_key(url: str) -> SecretStr | None:
    """The key in the environment; None if no key is set and the server is on this machine.

    Raises:
        EngineError: no key is set for a server on another machine, or the key has characters that a header cannot have.
    """
    key = os.environ.get(KEY, "").strip()
    if not key:
        if is_loopback(url):
            return None
        raise EngineError(f"engine.url is {url}, but {KEY} is not set in the environment; set it to the server's key")
    if not (key.isascii() and key.isprintable()) or " " in key:
        # The HTTP library would show the key in its error.
        raise EngineError(f"{KEY} has characters that a key cannot have (it is not shown); set it to the server's key")
    return SecretStr(key)


class Server:
    """Sends requests to `settings.url`; used in a `with` statement, by any number of threads."""

    def __init__(self, settings: OpenAISettings) -> None:
        self.url, self.attempts, self.patience = settings.url, settings.attempts, settings.timeout_seconds
        self.key = api_key(self.url)
        self.stopped = threading.Event()
        # No compression: a few bytes could expand to any size.
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        if self.key:
            headers["authorization"] = f"Bearer {self.key.get_secret_value()}"
        self.client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(self.patience, connect=min(10.0, self.patience)),
            limits=httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency),
            trust_env=not is_loopback(self.url),  # A proxy does not reach servers on this machine.
        )

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()

    def stop(self) -> None:
        """End all pauses and send no further request."""
        self.stopped.set()

    def call(self, method: str, path: str, body: dict[str, object] | None = None) -> bytes:
        """The content of a 200 answer, after at most `attempts` attempts.

        Raises:
            RefusedError: at once, for an answer that another attempt would not change.
            StoppedError: after `stop`.
            EngineError: the server was busy, failed, sent nothing or could not be reached each time, or its answer is
                too long.
        """
        attempts = Retrying(
            retry=retry_if_exception_type(_PassingError),
            stop=stop_after_attempt(self.attempts),
            wait=_wait,
            sleep=sleep_using_event(self.stopped),
            before_sleep=partial(self._warn, path),
            reraise=True,
        )
        try:
            content: bytes = attempts(self._attempt, method, path, body)
        except _PassingError as fault:
            raise EngineError(
                f"engine.url {self.url}: gave up after {self.attempts} attempts, the last one ended with: {fault}; "
                "check that the server runs and answers there, or raise engine.attempts or engine.timeout_seconds"
            ) from None
        return content

    def _attempt(self, method: str, path: str, body: dict[str, object] | None) -> bytes:
        """The content of a 200 answer.

        Raises:
            _PassingError: another attempt may succeed.
            EngineError: another attempt would not succeed, see `call`.
        """
        if self.stopped.is_set():
            raise StoppedError(f"engine.url {self.url}: stopped")
        try:
            status, content, asked = self._once(method, path, body)
        except httpx.TransportError as error:
            raise _PassingError(self.shown(f"{type(error).__name__} {error}".strip())) from None
        if status == httpx.codes.OK:
            return content
        fault = f"status {status}, {self.shown(content) or 'with no reason given'}"
        if status == httpx.codes.TOO_MANY_REQUESTS or httpx.codes.is_server_error(status):
            raise _PassingError(fault, asked)
        raise RefusedError(f"{self.url}{path} refused: {fault}", status, self.shown(content))

    def _warn(self, path: str, state: RetryCallState) -> None:
        fault = state.outcome and state.outcome.exception()
        log.warning(
            "%s%s: %s; attempt %d in %.1f s",
            self.url,
            path,
            fault,
            state.attempt_number + 1,
            state.upcoming_sleep,
        )

    def _once(self, method: str, path: str, body: dict[str, object] | None) -> tuple[int, bytes, float]:
        """Status, content and the seconds that the server asks to wait (0.0 if it does not)."""
        until = time.monotonic() + self.patience
        content = bytearray()
        with self.client.stream(method, f"{self.url}{path}", json=body) as response:
            for chunk in response.iter_raw():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise EngineError(f"engine.url {self.url}: an answer to {path} is longer than {MOST_BYTES} bytes")
                if time.monotonic() > until:
                    raise httpx.ReadTimeout(f"not finished after {self.patience:g} s")
            return response.status_code, bytes(content), _retry_after(response.headers.get("retry-after", ""))

    def shown(self, said: bytes | str) -> str:
        """A server's text made safe for a log: short, printable, without the key."""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        if self.key:
            text = text.replace(self.key.get_secret_value(), "***")
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
        return text if len(text) <= 300 else f"{text[:300]}…"


def _wait(state: RetryCallState) -> float:
    fault = state.outcome.exception() if state.outcome else None
    return _pause(state.attempt_number, fault.asked if isinstance(fault, _PassingError) else 0.0)


def _pause(attempt: int, asked: float) -> float:
    """Seconds before the next attempt: exponential with jitter, and no less than the server asked for."""
    # tenacity's own jitter would draw from the random numbers that a caller may have seeded.
    backoff: float = FIRST_PAUSE * 2 ** (attempt - 1) * random.SystemRandom().uniform(1.0, 1.5)
    return min(LONGEST_PAUSE, max(backoff, asked))


def _retry_after(text: str) -> float:
    """Seconds in a Retry-After header; 0.0 if it is neither a number nor a date."""
    try:
        return max(0.0, float(text)) if text.replace(".", "", 1).isdigit() else _until(text)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _until(date: str) -> float:
    """Seconds until an HTTP date; 0.0 when it is past."""
    seconds: float = parsedate_to_datetime(date).timestamp() - time.time()
    return max(0.0, seconds)
