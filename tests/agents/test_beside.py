"""A service works while this machine does; an error on either side ends both."""

import threading

import pytest

from agents.engines.protocol import OnProgress
from agents.hosted.asking import StoppedError
from agents.hosted.beside import beside


def test_both_work_at_the_same_time() -> None:
    met = threading.Barrier(2, timeout=20)
    told: list[tuple[int, int]] = []

    def work(note: OnProgress) -> str:
        note(1, 2)
        met.wait()
        return "said"

    with beside(work) as service:
        met.wait()
        assert service.result(lambda done, total: told.append((done, total))) == "said"
        assert service.progress() == (1, 2)
    assert set(told) <= {(1, 2)}


def test_the_error_of_the_work_is_seen_at_once() -> None:
    def work(note: OnProgress) -> None:
        raise ArithmeticError("too much")

    with pytest.raises(ArithmeticError, match="too much"), beside(work) as service:
        while True:
            service.progress()


def test_after_an_error_beside_it_the_work_ends_at_its_next_progress() -> None:
    begun, stopped = threading.Event(), threading.Event()

    def work(note: OnProgress) -> None:
        begun.set()
        try:
            while True:
                note(0, 1)
        except StoppedError:
            stopped.set()
            raise

    with pytest.raises(KeyboardInterrupt), beside(work):
        begun.wait(20)
        raise KeyboardInterrupt
    assert stopped.is_set()
