"""A grader of one's own that fails: one line that names the class, the method and the text."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evaluation.answers.grader import Grader, GraderError
from evaluation.answers.kinds.custom import Custom
from evaluation.answers.vote import tally

BROKEN = """
class Broken:
    def __init__(self, where):
        self.where = where

    def _maybe(self, where):
        if where == self.where:
            raise RuntimeError("boom,\\n  and more")

    def extract(self, text):
        self._maybe("extract")
        return 7 if self.where == "number" else text

    def equivalent(self, a, b):
        self._maybe("equivalent")
        return a == b

    def fault(self, reference):
        self._maybe("fault")
"""


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Grader]]:
    (tmp_path / "failing_grader.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda where: Custom(grader="failing_grader:Broken", options={"where": where})
    del sys.modules["failing_grader"]


def test_the_message_names_class_method_and_text(broken: Callable[[str], Grader]) -> None:
    raised = "^grader failing_grader:Broken raised RuntimeError: boom, and more in"
    with pytest.raises(GraderError, match=rf"{raised} extract on 'x{{60}}\.\.\.'$"):
        broken("extract").extract("x" * 1_000)
    with pytest.raises(GraderError, match=f"{raised} equivalent on 'a' and 'a'$"):
        tally(["a", "b"], seed=1, grader=broken("equivalent"))
    with pytest.raises(GraderError, match=f"{raised} fault on 'a'$"):
        broken("fault").fault("a")
    with pytest.raises(GraderError, match="Broken returned int from extract; it must return text or None"):
        broken("number").extract("seven")


def test_a_grader_that_does_not_fail(broken: Callable[[str], Grader]) -> None:
    fine = broken("nowhere")
    assert fine.extract("a") == "a" and fine.equivalent("a", "a") and not fine.equivalent("a", None)
    assert fine.fault("a") is None
