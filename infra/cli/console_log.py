"""A handler that shows Prefect's log in a job's terminal."""

import copy
import logging

from prefect.logging.handlers import PrefectConsoleHandler


class BriefConsoleHandler(PrefectConsoleHandler):
    """Prefect's handler without tracebacks: `maft` prints an error as one line, and Prefect's pages have the rest."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as Prefect formats it, without the traceback."""
        if record.exc_info:
            record = copy.copy(record)
            record.exc_info = record.exc_text = None
        return super().format(record)
