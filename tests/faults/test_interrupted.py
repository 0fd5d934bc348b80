"""Ctrl-C in a command that computes: one line says how to go on, whatever a library makes of the interruption."""

import os
import signal
from collections.abc import Iterator

import pytest
from rich.console import Console

from infra.cli.terminal import progress_bars


@pytest.fixture
def listening() -> Iterator[None]:
    """Tests in the background of a shell ignore the signal."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


def test_an_interruption_that_became_another_error_is_still_one(
    listening: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, progress_bars(Console()):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt as interrupted:
            raise RuntimeError("the event loop is closed") from interrupted
    assert ended.value.code == 130
    assert capsys.readouterr().out == "interrupted; the same command continues after the last step above\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_any_other_error_passes(listening: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="full"), progress_bars(Console()):
        raise RuntimeError("the disk is full")
    assert capsys.readouterr().out == ""
