"""What is in a cache key, and that a record with broken artifacts is no hit."""

import json
from pathlib import Path

import pandas as pd
import pytest

from agents.engines.settings import EngineSettings
from agents.store import Store
from infra.config.job import Config, Measurement, Runner
from infra.home.cache import _fault, _plain, source_digest


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


def test_who_answers_is_in_the_key_and_not_where_or_how_fast() -> None:
    here = EngineSettings(name="openai", url="http://127.0.0.1:8000/v1", model="base")
    moved = here.model_copy(
        update={"url": "http://127.0.0.1:9000/v1", "concurrency": 1, "timeout_seconds": 5.0, "attempts": 2}
    )
    resized = here.model_copy(update={"memory_share": 0.1, "tensor_parallel": 2, "max_loras": 1})
    assert _plain(here) == _plain(moved) == _plain(resized) == {"name": "openai", "model": "base"}
    others = [EngineSettings(), EngineSettings(name="vllm"), here.model_copy(update={"model": "other"})]
    assert len({json.dumps(_plain(each)) for each in [here, *others]}) == 4
    for job in (Config, Measurement):
        assert _plain(job(engine=here)) == _plain(job(engine=moved, runner=Runner(batch_rows=1)))
        assert _plain(job(engine=here)) != _plain(job())
