"""Ray for the tests of `runner.name: ray`. Run them with `make test-cluster`.

They are left out where Ray is not installed, and among other tests, since they need the cores for themselves.
"""

import os
import secrets
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

# Ray reads these when it is imported, so they are set here.
FOLDER = TemporaryDirectory(prefix="maft-token-")
TOKEN = Path(FOLDER.name) / "token"
TOKEN.write_text(secrets.token_hex(32), "utf-8")
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(TOKEN)}

collect_ignore_glob = ["test_*.py"] if find_spec("ray") is None or "PYTEST_XDIST_WORKER" in os.environ else []


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """No actor of a test lives on in the next one."""
    yield
    from agents.runners.ray.link import close_all

    close_all()
