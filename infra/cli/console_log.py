"""A handler that shows Prefect's log in a job's terminal."""

import copy
import logging

from prefect.logging.handlers import PrefectConsoleHandler

AT_END = {"at_end": True}
"""The `extra` of a log line that a command of maft shows itself when it has ended."""


class BriefConsoleHandler(PrefectConsoleHandler):
    """Prefect's handler without what `maft` prints itself: tracebacks of an error, and lines that are shown at the end.

    Prefect's pages have all of it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is shown now."""
        return bool(super().filter(record)) and not hasattr(record, "at_end")

    def format(self, record: logging.LogRecord) -> str:
        """The record as Prefect formats it, without the traceback."""
        if record.exc_info:
            record = copy.copy(record)
            record.exc_info = record.exc_text = None
        return super().format(record)
