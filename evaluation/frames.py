"""Converts values of a pandas table to Python values."""


def text_or_none(value: object) -> str | None:
    """The text of a cell; None for an empty cell, which pandas gives as None, NaN or NA by column and version."""
    return value if isinstance(value, str) else None
