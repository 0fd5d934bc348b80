"""What is in a cache key, and that a record with broken artifacts is no hit."""

import json
from pathlib import Path

import pandas as pd
import pytest

from infra.cache import _fault, source_digest
from infra.store import Store


def test_the_key_follows_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "made_up"
    package.mkdir()
    (package / "__init__.py").write_text("")
    inner = package / "inner.py"
    inner.write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    digests = set()
    for text in ("x = 1\n", "x = 2\n", "x = 1\n"):
        inner.write_text(text)
        source_digest.cache_clear()
        digests.add((source_digest(("made_up",)), source_digest(("made_up.inner",))))
    assert len(digests) == 2


def test_a_module_without_source_is_refused() -> None:
    with pytest.raises(ModuleNotFoundError):
        source_digest(("no_such_module_anywhere",))


def test_a_record_is_checked_against_every_artifact_it_holds(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    artifact = store.put_frame(pd.DataFrame({"a": [1]}))
    record = tmp_path / "record"
    result = json.dumps({"inner": [{"responses": artifact.model_dump()}]})
    record.write_text(json.dumps({"metadata": {}, "result": result}))
    assert _fault(record, store) is None
    (store.root / artifact.path).write_bytes(b"broken")
    assert artifact.path in str(_fault(record, store))
    record.write_text(record.read_text()[:20])
    assert "not readable" in str(_fault(record, store))
