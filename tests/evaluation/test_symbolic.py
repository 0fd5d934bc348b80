"""The process that reads formulas, also hostile ones. Run: pytest tests/evaluation/test_symbolic.py"""

import multiprocessing
import os
import resource
import signal
import sys
import threading
import time

import pytest

from evaluation.answers import symbolic
from evaluation.answers.equality import equivalent

LIMIT_SECONDS = 5.0

# math-verify cannot read these.
UNREADABLE = ["1e999999999", "}{", "\x00\ud800"]

# math-verify reads these as formulas, and only the limits of the worker process end their computation.
ENDLESS = ["\\int_0^1 x^{1000}\\sin(x)^{50}dx", "\\sum_{k=1}^{99999} \\frac{1}{k!}"]


def cpu_seconds() -> float:
    """The CPU time of this process and of ended workers, which other programs do not change, unlike wall time."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def value(formula: str) -> list[str]:
    found = symbolic.values([("formula", formula)])
    assert found is not None
    return found[0]


def same(a: str, b: str) -> bool:
    return value(a) == value(b)


def end_worker() -> None:
    if symbolic.shared.worker is not None:
        symbolic.shared.worker.stop()
        symbolic.shared.worker = None


@pytest.mark.parametrize("text", UNREADABLE, ids=ascii)
def test_what_is_no_formula_equals_none(text: str) -> None:
    assert not equivalent(text, "17 x")


@pytest.mark.slow
@pytest.mark.parametrize("text", ENDLESS)
def test_endless_formulas_are_ended_in_time(text: str) -> None:
    end_worker()
    start = cpu_seconds()
    assert not equivalent(text, "17 x")
    end_worker()
    assert cpu_seconds() - start < LIMIT_SECONDS


@pytest.mark.slow
def test_the_worker_by_itself_survives_a_tower_of_powers() -> None:
    end_worker()
    start = cpu_seconds()
    assert symbolic.values([("formula", "9^{9^{9^9}}")]) is None
    assert cpu_seconds() - start < LIMIT_SECONDS
    assert same("\\frac{4}{2}", "2")


def test_a_worker_that_was_killed_is_replaced() -> None:
    assert same("x+1", "1+x")
    assert symbolic.shared.worker is not None
    os.kill(symbolic.shared.worker.process.pid, signal.SIGKILL)
    assert same("x+2", "2+x")


def test_from_threads_at_once() -> None:
    verdicts: dict[int, bool] = {}

    def ask(n: int) -> None:
        verdicts[n] = equivalent(f"(x+{n})^2", f"x^2+{2 * n}x+{n * n}") and not equivalent(f"x+{n}", f"x+{n}+1")

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(2, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert verdicts == dict.fromkeys(range(2, 6), True)


def test_a_forked_child_starts_a_worker_of_its_own() -> None:
    assert same("x+3", "3+x")
    child = multiprocessing.get_context("fork").Process(target=_exit_with_verdict)
    child.start()
    child.join(timeout=60)
    assert child.exitcode == 7
    assert same("x+4", "4+x")


def _exit_with_verdict() -> None:
    sys.exit(7 if same("x+5", "5+x") and not same("x+5", "6+x") else 1)


def test_an_interrupted_question_leaves_no_value_behind_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = symbolic.Worker.ask

    def interrupted(worker: symbolic.Worker, formulas: object) -> None:
        worker.pipe.send_bytes(b'[["formula", "x"]]')
        raise KeyboardInterrupt

    monkeypatch.setattr(symbolic.Worker, "ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        same("x", "x")
    monkeypatch.setattr(symbolic.Worker, "ask", ask)
    assert not same("x", "y")


def test_a_starved_worker_is_an_error_and_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic.Worker, "ask", lambda worker, formulas: None)
    monkeypatch.setattr(symbolic, "ATTEMPTS", 1)
    with pytest.raises(TimeoutError, match="overloaded"):
        same("x", "x")


def test_a_worker_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    end_worker()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match=r"did not start \(exit status 1\).*import math_verify"):
        same("x", "y")
