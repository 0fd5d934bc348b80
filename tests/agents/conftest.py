"""Fixtures for the tests of engines, such as a server with OpenAI's API.

pytest reads this file before it starts its workers, so what takes seconds to import is imported in the fixtures.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from agents.engines.transformers.engine import TransformersEngine
    from tests.agents.openai_server import OpenAIServer


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> "TransformersEngine":
    from agents.engines import base_model
    from agents.engines.transformers.engine import TransformersEngine
    from tests.agents.engine_samples import save_adapters
    from tests.agents.openai_server import ONE, THREE, TWO

    folder = tmp_path_factory.mktemp("adapters")
    save_adapters(folder, [ONE, TWO, THREE])
    return TransformersEngine(*base_model.load("embedded", "cpu"), adapters=folder, batch_rows=16)


@pytest.fixture(scope="module")
def listening(local: "TransformersEngine") -> Iterator["OpenAIServer"]:
    from tests.agents.openai_server import serving

    with serving(local) as server:
        yield server


@pytest.fixture
def server(listening: "OpenAIServer", monkeypatch: pytest.MonkeyPatch) -> Iterator["OpenAIServer"]:
    from agents.hosted import http

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    listening.calm()
    yield listening
    listening.released.set()
