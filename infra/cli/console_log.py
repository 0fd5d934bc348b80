"""A handler that shows Prefect's log in a job's terminal."""

import copy
import logging

from prefect.logging.handlers import PrefectConsoleHandler

AT_END = {"at_end": True}
"""The `extra` of a log line that a command of maft shows itself when it has ended."""

FAILURES = "Finished in state Failed", "Encountered exception during execution"
"""How Prefect's lines about the error begin that ends a task and then its flow."""


class BriefConsoleHandler(PrefectConsoleHandler):
    """Prefect's handler without what `maft` prints itself: the error that ends a run, and lines that belong at the end.

    Prefect's pages have all of it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is shown now."""
        ends_the_run = record.levelno >= logging.ERROR and record.getMessage().startswith(FAILURES)
        return bool(super().filter(record)) and not hasattr(record, "at_end") and not ends_the_run

    def format(self, record: logging.LogRecord) -> str:
        """The record as Prefect formats it, without the traceback."""
        if record.exc_info:
            record = copy.copy(record)
            record.exc_info = record.exc_text = None
        return super().format(record)
