"""Names the fields of the config section `hosted` in messages about agents at a service."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from agents.engines.protocol import EngineError

FIELD = re.compile(r"(?<![\w.])(?=(?:engine|finetune)\.[a-z])")


@contextmanager
def in_hosted() -> Iterator[None]:
    """Let errors say hosted.engine.url where they say engine.url, which are other agents' settings."""
    try:
        yield
    except (EngineError, ValueError) as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (FIELD.sub("hosted.", error.args[0]), *error.args[1:])
        raise
