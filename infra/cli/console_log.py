"""A handler that shows Prefect's log in a job's terminal."""

import copy
import logging

from prefect.logging.handlers import PrefectConsoleHandler


class BriefConsoleHandler(PrefectConsoleHandler):
    """Prefect's own, without tracebacks: `maft` says a fault in its one line, and Prefect's pages keep the rest."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, styled as Prefect does."""
        if record.exc_info:
            record = copy.copy(record)
            record.exc_info = record.exc_text = None
        return super().format(record)
