"""Requests to a service with an HTTP API: bounded answers, retries with backoff, and a key that is never shown.

This uses httpx and not a service's own client. OpenAI's reads answers of any length, follows redirects and also takes
its server, headers and organisation from the environment.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import NamedTuple, Protocol, TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event, stop_after_attempt

from agents.engines.protocol import EngineError
from agents.hosted.asking import StoppedError
from agents.hosted.errors import PassingError, RefusedError, safe
from agents.hosted.keys import KEY, api_key
from agents.hosted.limits import seconds_to_reset, seconds_to_wait
from agents.hosted.urls import is_loopback

log = logging.getLogger("maft.hosted")

T = TypeVar("T")

MOST_BYTES = 8 * 2**20
"""Length of the longest answer that is read."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between attempts: the pause doubles each time, up to the longest, whatever the service asks for."""


class Manners(Protocol):
    """How requests are sent to which service; the settings of an engine or of a training method have these fields."""

    @property
    def url(self) -> str:
        """The base URL."""

    @property
    def concurrency(self) -> int:
        """Requests sent at once."""

    @property
    def timeout_seconds(self) -> float:
        """Longest wait for one answer."""

    @property
    def attempts(self) -> int:
        """How often a request is tried if the service is busy, fails or cannot be reached."""


class Upload(NamedTuple):
    """A file to send, in the form of a browser's, with the other fields of the form."""

    name: str
    content: bytes
    fields: dict[str, str]


Body = Mapping[str, object] | Upload | None


class Server:
    """Sends requests to `settings.url`; used in a `with` statement, by any number of threads.

    Args:
        settings: the server, and how requests are sent.
        section: the section of the config that has them, for messages.
        variable: the environment variable with the key.
    """

    def __init__(self, settings: Manners, *, section: str = "engine", variable: str = KEY) -> None:
        self.url, self.attempts, self.patience = settings.url, settings.attempts, settings.timeout_seconds
        self.section, self.variable = section, variable
        self.key = api_key(self.url, section=section, variable=variable)
        self.stopped = threading.Event()
        self._full_until = 0.0
        """When a limit that is used up lets through more, by the monotonic clock."""
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

    def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            StoppedError: `stop` was called before the end.
        """
        if self.stopped.wait(seconds):
            raise StoppedError(f"{self.section}.url {self.url}: stopped")

    def call(self, method: str, path: str, body: Body = None) -> bytes:
        """The content of a successful answer, after at most `attempts` attempts.

        Raises:
            RefusedError: at once, for an answer that another attempt would not change.
            StoppedError: after `stop`.
            EngineError: the server was busy, failed, sent nothing or could not be reached each time, or its answer is
                too long.
        """
        return self.again(path, partial(self.once, method, path, body))

    def again(self, what: str, do: Callable[[], T]) -> T:
        """The result of `do`, which is called again after a PassingError, at most `attempts` times in all.

        Args:
            what: the path that is asked for, for the log.
            do: asks the server, with `once`.

        Raises:
            EngineError: as in `call`.
        """
        attempts = Retrying(
            retry=retry_if_exception_type(PassingError),
            stop=stop_after_attempt(self.attempts),
            wait=_wait,
            sleep=sleep_using_event(self.stopped),
            before_sleep=partial(self._warn, what),
            reraise=True,
        )
        try:
            return attempts(do)
        except PassingError as fault:
            raise EngineError(
                f"{self.section}.url {self.url}: gave up after {self.attempts} attempts, the last one ended with: "
                f"{fault}; check that the server runs and answers there, or raise {self.section}.attempts or "
                f"{self.section}.timeout_seconds"
            ) from None

    def once(self, method: str, path: str, body: Body = None) -> bytes:
        """The content of a successful answer to one attempt; for what must not be sent twice unseen.

        Raises:
            PassingError: another attempt may succeed; this one may have been heard.
            EngineError: another attempt would not succeed, see `call`.
        """
        self.pause(max(0.0, self._full_until - time.monotonic()))
        try:
            status, content, headers = self._exchange(method, path, body)
        except httpx.TransportError as error:
            raise PassingError(self.shown(f"{type(error).__name__} {error}".strip())) from None
        if full := min(LONGEST_PAUSE, seconds_to_reset(headers)):
            self._full_until = time.monotonic() + full
        if httpx.codes.is_success(status):
            return content
        fault = f"status {status}, {self.shown(content) or 'with no reason given'}"
        if status == httpx.codes.TOO_MANY_REQUESTS or httpx.codes.is_server_error(status):
            raise PassingError(fault, seconds_to_wait(headers))
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            fault += f"; the key is that of {self.variable}" if self.key else f"; {self.variable} is not set"
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

    def _exchange(self, method: str, path: str, body: Body) -> tuple[int, bytes, httpx.Headers]:
        until = time.monotonic() + self.patience
        content = bytearray()
        form = body if isinstance(body, Upload) else None
        sent = self.client.stream(
            method,
            f"{self.url}{path}",
            json=None if form else body,
            data=form and form.fields,
            files=form and {"file": (form.name, form.content, "application/jsonl")},
        )
        with sent as response:
            for chunk in response.iter_raw():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise EngineError(
                        f"{self.section}.url {self.url}: an answer to {path} is longer than {MOST_BYTES} bytes"
                    )
                if time.monotonic() > until:
                    raise httpx.ReadTimeout(f"not finished after {self.patience:g} s")
            return response.status_code, bytes(content), response.headers

    def shown(self, said: bytes | str) -> str:
        """A server's text made safe for a log: short, printable, without the key."""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        return safe(text, self.key.get_secret_value() if self.key else "")


def _wait(state: RetryCallState) -> float:
    fault = state.outcome.exception() if state.outcome else None
    return _pause(state.attempt_number, fault.asked if isinstance(fault, PassingError) else 0.0)


def _pause(attempt: int, asked: float) -> float:
    """Seconds before the next attempt: exponential with jitter, and no less than the server asked for."""
    # tenacity's own jitter would draw from the random numbers that a caller may have seeded.
    backoff: float = FIRST_PAUSE * 2 ** (attempt - 1) * random.SystemRandom().uniform(1.0, 1.5)
    return min(LONGEST_PAUSE, max(backoff, asked))
