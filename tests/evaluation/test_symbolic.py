"""The process that compares formulas, also hostile ones. Run: pytest tests/evaluation/test_symbolic.py"""

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

# math-verify reads these as formulas, and only the limits of the worker process end their comparison.
ENDLESS = ["(x+y+z)^{500}", "\\int_0^1 x^{1000}\\sin(x)^{50}dx"]


def cpu_seconds() -> float:
    """The CPU time of this process and of ended workers, which other programs do not change, unlike wall time."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


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
    assert not symbolic.equal("9^{9^{9^9}}", "1")
    assert cpu_seconds() - start < LIMIT_SECONDS
    assert symbolic.equal("\\frac{4}{2}", "2")


def test_a_worker_that_was_killed_is_replaced() -> None:
    assert symbolic.equal("x+1", "1+x")
    assert symbolic.shared.worker is not None
    os.kill(symbolic.shared.worker.process.pid, signal.SIGKILL)
    assert symbolic.equal("x+2", "2+x")


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
    assert symbolic.equal("x+3", "3+x")
    child = multiprocessing.get_context("fork").Process(target=_exit_with_verdict)
    child.start()
    child.join(timeout=60)
    assert child.exitcode == 7
    assert symbolic.equal("x+4", "4+x")


def _exit_with_verdict() -> None:
    sys.exit(7 if symbolic.equal("x+5", "5+x") and not symbolic.equal("x+5", "6+x") else 1)


def test_an_interrupted_question_leaves_no_verdict_behind_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = symbolic.Worker.ask

    def interrupted(worker: symbolic.Worker, a: str, b: str) -> bool | None:
        worker.pipe.send_bytes(b'["x", "x"]')
        raise KeyboardInterrupt

    monkeypatch.setattr(symbolic.Worker, "ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        symbolic.equal("x", "x")
    monkeypatch.setattr(symbolic.Worker, "ask", ask)
    assert not symbolic.equal("x", "y")


def test_a_starved_worker_is_an_error_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic.Worker, "ask", lambda worker, a, b: None)
    monkeypatch.setattr(symbolic, "ATTEMPTS", 1)
    with pytest.raises(TimeoutError, match="overloaded"):
        symbolic.equal("x", "x")


def test_a_worker_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    end_worker()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match=r"did not start \(exit status 1\).*import math_verify"):
        symbolic.equal("x", "y")
