"""Lets a service work while this machine does."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from threading import Event
from typing import Generic, TypeVar

from agents.engines.protocol import OnProgress
from agents.hosted.asking import StoppedError

T = TypeVar("T")

LOOK_SECONDS = 0.5
"""How often the progress is looked at while nothing else is left to do."""


class Beside(Generic[T]):
    """Work that another thread does."""

    def __init__(self, work: Callable[[OnProgress], T], pool: ThreadPoolExecutor, stop: Event) -> None:
        self._told = (0, 1)

        def note(done: int, total: int) -> None:
            if stop.is_set():
                raise StoppedError("the work beside it failed")
            self._told = (done, total)

        # Warnings belong to the same task of Prefect as those of the thread that waits.
        self._future: Future[T] = pool.submit(copy_context().run, work, note)

    def progress(self) -> tuple[int, int]:
        """(done, total) so far.

        Raises:
            Exception: the error of the work, if it failed.
        """
        if self._future.done():
            self._future.result()
        return self._told

    def result(self, on_progress: OnProgress) -> T:
        """Wait for the result.

        Args:
            on_progress: called with (done, total) until then.

        Raises:
            Exception: the error of the work, if it failed.
        """
        while not wait([self._future], LOOK_SECONDS).done:
            on_progress(*self._told)
        return self._future.result()


@contextmanager
def beside(work: Callable[[OnProgress], T]) -> Iterator[Beside[T]]:
    """Do some work in another thread until the context ends, which waits for it.

    After an error in the context, the work ends when it next tells its progress.

    Args:
        work: called with a callback for its progress, which counts; nothing is shown.
    """
    stop = Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            yield Beside(work, pool, stop)
        except BaseException:
            stop.set()
            raise
