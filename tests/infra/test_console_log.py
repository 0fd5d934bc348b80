"""The log in a job's terminal leaves out what the command itself shows."""

import logging
from io import StringIO

from infra.cli.console_log import AT_END, BriefConsoleHandler


def test_a_line_that_is_shown_at_the_end_and_tracebacks_are_left_out() -> None:
    written = StringIO()
    log = logging.Logger("a job")
    log.addHandler(BriefConsoleHandler(stream=written))
    log.warning("few examples", extra=AT_END)
    log.warning("out of memory")
    try:
        raise ValueError("bad")
    except ValueError:
        log.exception("failed")
    assert written.getvalue().split("\n") == ["out of memory", "failed", ""]
