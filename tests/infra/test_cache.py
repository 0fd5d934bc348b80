"""Cache keys: their content, and that a stored result with damaged artifacts is not used."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pandas as pd
import pytest

from agents import algorithm, steps
from agents.algorithm import StoredProblems
from agents.debate.settings import DebateSettings
from agents.engines.base_model import identify_bases
from agents.engines.openai import OpenAISettings
from agents.engines.transformers import TransformersSettings
from agents.engines.vllm import VllmSettings
from agents.frames import problems_frame
from agents.run import Run
from agents.runners.local import Local
from agents.society import Society
from agents.store import Store
from evaluation.problems.settings import Problems
from evaluation.problems.sources import load_problems
from infra.config.job import Config, Measurement
from infra.home.cache import _fault, cache_key
from infra.home.sources import ROOMS, ROOT, imported_by


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the project's code that a test may edit."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "embedded"))
    return tmp_path


def digest(root: Path, step: str = "agents.debate.generate") -> str:
    """The digest of the code that decides a step's result, computed in a new process."""
    code = f"from infra.home.sources import source_digest; print(source_digest([{step!r}]))"
    return subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True).stdout


def test_an_edit_three_imports_away_is_a_miss_and_one_of_a_report_is_a_hit(copied: Path) -> None:
    before = digest(copied)
    # generate -> responses -> answers.extract -> record
    far = copied / "evaluation" / "record.py"
    assert "evaluation.record" in imported_by(["agents.debate.generate"])
    text = far.read_text()
    far.write_text(text + "\nANOTHER = 1\n")
    assert digest(copied) != before
    far.write_text(text)
    assert digest(copied) == before
    for report in ("evaluation/reporting/tables.py", "evaluation/benchmark/findings.py", "infra/lineage/pages.py"):
        file = copied / report
        file.write_text(file.read_text() + "\nANOTHER = 1\n")
    assert digest(copied) == before


def test_words_about_the_code_are_not_the_code(copied: Path) -> None:
    before = digest(copied)
    file = copied / "agents" / "seeding.py"
    file.write_text(file.read_text().replace("machine", "computer") + "\n# a remark\n")
    assert digest(copied) == before
    file.write_text(file.read_text().replace("big", "little"))
    assert digest(copied) != before


def test_an_import_inside_a_function_counts_and_one_for_type_checkers_does_not(tmp_path: Path) -> None:
    made = tmp_path / "made_up.py"
    made.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import evaluation.problems.hub\n"
        "else:\n    import evaluation.problems.rows\n"
        "def step():\n    from agents import seeding\n    return seeding\n"
    )
    code = "from infra.home.sources import imported_by; print(*sorted(imported_by(['made_up'])))"
    path = f"{tmp_path}:{ROOT}"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, check=True, capture_output=True)
    found = done.stdout.decode().split()
    assert {"made_up", "agents.seeding", "evaluation.problems.rows"} <= {*found}
    assert "evaluation.problems.hub" not in found


def test_a_module_without_source_is_refused() -> None:
    with pytest.raises(ModuleNotFoundError):
        imported_by(["no_such_module_anywhere"])


@contextmanager
def called(modules: set[str]) -> Iterator[None]:
    """Collect the modules of the core whose functions are called in any thread."""

    def note(frame: FrameType, event: str, argument: object) -> None:
        name = str(frame.f_globals.get("__name__", ""))
        if (
            event == "call"
            and name.partition(".")[0] in {"agents", "evaluation"}
            and frame.f_code.co_name != "<module>"
        ):
            modules.add(name)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


class Watched:
    """The plain steps; each notes the modules that it calls and the modules that its cache key covers."""

    def __init__(self) -> None:
        self.calls: dict[str, set[str]] = {}
        self.keyed: dict[str, set[str]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        step: Callable[..., Any] = getattr(steps, name)

        def watched(*given: Any, **named: Any) -> Any:
            with called(self.calls.setdefault(name, set())):
                made = step(*given, **named)
            modules = {step.__module__}
            names = dict(enumerate(given)) | named
            cache_key(name, {str(key): value for key, value in names.items()}, modules=modules)
            self.keyed.setdefault(name, set()).update(imported_by(modules))
            return made

        return watched


@pytest.mark.parametrize(
    ("debate", "method"),
    [(DebateSettings(), "sft"), (DebateSettings(topology="sparse", messages="json", vote="confidence"), "dpo")],
)
def test_no_module_that_decides_a_result_is_missing_from_the_key(
    tmp_path: Path, debate: DebateSettings, method: str
) -> None:
    """In a small job, the cache key of every step covers all modules of the core that the step calls."""
    config = Config.model_validate({"debate": debate, "finetune": {"method": method, "epochs": 1}, "agents": 2})
    settings = config.settings.model_copy(
        update={"sampling": config.sampling.model_copy(update={"max_new_tokens": 100, "max_summary_tokens": 40})}
    )
    sets = load_problems(Problems(train_size=6, evaluation_size=2), 1)
    store, watched = Store(tmp_path), Watched()
    problems = StoredProblems(
        train=store.put_frame(problems_frame(sets.train)), evaluation=store.put_frame(problems_frame(sets.evaluation))
    )
    bases = identify_bases(["embedded"], False)
    run = Run(steps=watched, bases=bases, engine=TransformersSettings(), store=store, runner=Local(device="cpu"))
    algorithm.iterate(run, Society.untuned(2), problems=problems, settings=settings, generation=1)
    expected = {"generate", "debate", "vote", "split", "finetune", "evaluate"}
    assert watched.calls.keys() - {"weigh"} == expected
    for name, modules in watched.calls.items():
        missing = modules - watched.keyed[name]
        assert not missing, f"{name} calls {sorted(missing)}, which its key leaves out"
        assert modules & watched.keyed[name], "the profile saw something"


def test_a_record_is_checked_against_every_artifact_it_holds(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    artifact = store.put_frame(pd.DataFrame({"a": [1]}))
    record = tmp_path / "record"
    result = json.dumps({"inner": [{"responses": artifact.model_dump()}]})
    record.write_text(json.dumps({"metadata": {}, "result": result}))
    assert _fault(record.read_bytes(), store) is None
    (store.root / artifact.path).write_bytes(b"broken")
    assert artifact.path in str(_fault(record.read_bytes(), store))
    record.write_text(record.read_text()[:20])
    assert "not readable" in str(_fault(record.read_bytes(), store))


def key(**given: Any) -> str:
    return cache_key("a step", given, modules={"agents.debate.generate"})


def test_who_answers_is_in_the_key_and_not_where_or_how_fast() -> None:
    here = OpenAISettings(url="http://127.0.0.1:8000/v1", model="base")
    moved = here.model_copy(
        update={"url": "http://127.0.0.1:9000/v1", "concurrency": 1, "timeout_seconds": 5.0, "attempts": 2}
    )
    assert key(engine=here) == key(engine=moved)
    assert key(engine=VllmSettings()) == key(engine=VllmSettings(memory_share=0.1, tensor_parallel=2, max_loras=1))
    others = [TransformersSettings(), VllmSettings(), here, here.model_copy(update={"model": "other"})]
    assert len({key(engine=each) for each in others}) == 4
    for job in (Config, Measurement):
        assert key(job=job(engine=here)) == key(job=job(engine=moved, runner=Local(batch_rows=1)))
        assert key(job=job(engine=here)) != key(job=job())


def test_debates_that_differ_elsewhere_share_a_round() -> None:
    usual = DebateSettings()
    assert key(rules=DebateSettings(rounds=4, vote="confidence").of_one_round) == key(rules=usual.of_one_round)
    assert key(rules=DebateSettings(topology="ring").of_one_round) != key(rules=usual.of_one_round)
