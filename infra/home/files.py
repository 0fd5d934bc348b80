"""Writes a file that the user has named."""

from pathlib import Path

from evaluation.files import write_whole
from infra.errors import UserError


def write(path: Path, content: bytes) -> None:
    """Write a file completely, or not at all.

    Raises:
        UserError: it cannot be written.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
