"""Fixtures for the tests of engines, such as a server with OpenAI's API."""

from collections.abc import Iterator

import pytest

from agents.engines import base_model
from agents.engines.openai import http as openai_http
from agents.engines.transformers.engine import TransformersEngine
from tests.agents.engine_samples import save_adapters
from tests.agents.openai_server import ONE, THREE, TWO, OpenAIServer, serving


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
