"""The openai engine with a server that is busy, fails, hangs, gives wrong answers or has stopped."""

import logging
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from agents.hosted import http, limits
from tests.agents.engine_samples import GREEDY, quiet, requests
from tests.agents.openai_server import CHAT, Fault, OpenAIServer, drop, engine, failure, hang, status

pytestmark = pytest.mark.slow

KEY = "sk-a-secret-that-nobody-reads-0123456789"


@pytest.mark.parametrize(
    "fault", [status(429), status(500), status(503, b"<html>busy</html>"), drop], ids=["429", "500", "503", "dropped"]
)
def test_a_passing_fault_is_tried_again(server: OpenAIServer, fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    asked = requests(3, tokens=10)
    server.faults.extend([fault, fault])
    with caplog.at_level(logging.WARNING, "maft.hosted"):
        assert engine(server, concurrency=1).complete(asked, GREEDY, quiet) == server.engine.complete(
            asked, GREEDY, quiet
        )
    assert len(server.asked(CHAT)) == 5
    assert [f"attempt {number}" in record.getMessage() for number, record in zip((2, 3), caplog.records, strict=True)]


def test_a_hung_request_is_tried_again(server: OpenAIServer) -> None:
    server.faults.append(hang)
    asked = requests(1, tokens=2)
    said = engine(server, timeout_seconds=3.0).complete(asked, GREEDY, quiet)
    assert said == server.engine.complete(asked, GREEDY, quiet) and len(server.asked(CHAT)) == 2


def test_a_server_that_trickles_is_given_up(server: OpenAIServer) -> None:
    def trickle(handler: object) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while not handler.server.released.wait(0.1):
            handler.wfile.write(b" ")

    server.always = trickle
    message = failure(server, timeout_seconds=0.5, attempts=2)
    assert "gave up after 2 attempts" in message and "not finished after 0.5 s" in message


def test_a_server_that_hangs_is_given_up(server: OpenAIServer) -> None:
    server.always = hang
    message = failure(server, timeout_seconds=0.3, attempts=2)
    assert server.url in message and "gave up after 2 attempts" in message and "ReadTimeout" in message
    assert "engine.timeout_seconds" in message and len(server.asked(CHAT)) == 2


def test_a_server_that_is_gone_is_named(server: OpenAIServer) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    message = failure(server, url=url, attempts=3)
    assert url in message and "gave up after 3 attempts" in message and "check that the server runs" in message


def test_retry_after_is_heeded_and_bounded(server: OpenAIServer, caplog: pytest.LogCaptureFixture) -> None:
    server.faults.append(status(429, retry_after="1"))
    with caplog.at_level(logging.WARNING, "maft.hosted"):
        engine(server).complete(requests(1, tokens=2), GREEDY, quiet)
    assert "status 429" in caplog.text and "attempt 2 in 1.0 s" in caplog.text
    assert http._pause(1, limits.retry_after("86400")) == http.LONGEST_PAUSE
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 20 < limits.retry_after(date) <= 30
    for nonsense in ("", "soon", "-5", "nan", "inf", "Thu, 99 Foo"):
        assert limits.retry_after(nonsense) == 0.0


def test_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.5)
    for attempt, least in ((1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0)):
        pauses = {http._pause(attempt, 0.0) for _ in range(50)}
        assert least <= min(pauses) and max(pauses) <= 1.5 * least and len(pauses) > 1
    assert http._pause(20, 0.0) == http.LONGEST_PAUSE


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422, 307])
def test_a_refusal_is_final_and_ends_the_batch(server: OpenAIServer, code: int) -> None:
    server.always = status(code, {"error": {"message": "temperature must be 1"}}, location="http://127.0.0.1:9/")
    message = failure(server, requests(30), concurrency=1)
    assert server.url in message and f"status {code}" in message and "temperature must be 1" in message
    assert len(server.asked(CHAT)) == 1


def test_a_refusal_ends_the_pauses_of_the_others(server: OpenAIServer) -> None:
    server.faults.extend([status(429, retry_after="50"), status(400)])
    assert "status 400" in failure(server, requests(2), concurrency=2)
    assert len(server.asked(CHAT)) == 2, "a request whose retry was due in 50 s is not repeated"


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"<html>hello</html>",
        b"{",
        b"[" * 100_000,
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": "2"}, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"content": 2}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}',
        b'{"choices": [{"message": {"content": "\\ud800"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}',
        b'{"choices": [{"message": {"content": "2"}}], "usage": {"prompt_tokens": -1, "completion_tokens": 1}}',
        b"\x1b]0;owned\x07\xff\xfe",
    ],
)
def test_garbage_is_an_error_at_once(server: OpenAIServer, garbage: bytes) -> None:
    server.always = status(200, garbage)
    message = failure(server)
    assert f"engine.url {server.url}: not an answer of OpenAI's API" in message and message.isprintable()
    assert len(message) < 1000 and len(server.asked(CHAT)) == 1


def test_an_endless_answer_is_not_read_to_its_end(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_BYTES", 1000)
    server.always = status(200, b" " * 1_000_000)
    assert "longer than 1000 bytes" in failure(server)


def test_the_key_is_sent_and_never_told(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    echo = f"wrong key {KEY} in Bearer {KEY}"
    with caplog.at_level(logging.DEBUG):
        server.faults.extend([status(500, echo.encode()), status(401, {"error": echo})])
        refused = failure(server)
        server.always = status(200, echo.encode())
        garbled = failure(server)
    assert {seen.headers["authorization"] for seen in server.asked(CHAT)} == {f"Bearer {KEY}"}
    assert "wrong key *** in" in refused and "wrong key *** in" in garbled and "attempt 2" in caplog.text
    for told in (refused, garbled, caplog.text):
        assert KEY not in told


def test_a_key_that_cannot_be_sent_is_not_shown(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in (f"{KEY}\nx: y", f"{KEY} {KEY}", f"{KEY}é"):
        monkeypatch.setenv("OPENAI_API_KEY", bad)
        message = failure(server)
        assert "OPENAI_API_KEY has characters" in message and KEY not in message
