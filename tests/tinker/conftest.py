"""A server of Tinker's API for the tests of `engine.name: tinker`. Run them with `make test-tinker`.

They are left out where the client or the server's environment is not installed, and among other tests, since server and
training need the cores for themselves.
"""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from agents.engines.base_model import EMBEDDED
from agents.engines.tinker import TinkerSettings
from tests.tinker.server import PYTHON, SkyRL

MISSING = find_spec("tinker") is None or not PYTHON.exists() or "PYTEST_XDIST_WORKER" in os.environ
collect_ignore_glob = ["test_*.py"] if MISSING else []


@pytest.fixture(scope="session")
def skyrl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SkyRL]:
    server = SkyRL(tmp_path_factory.mktemp("skyrl"), EMBEDDED)
    yield server
    server.close()


@pytest.fixture(scope="session")
def service(skyrl: SkyRL) -> TinkerSettings:
    return TinkerSettings(url=skyrl.url, model=str(EMBEDDED), concurrency=8)
