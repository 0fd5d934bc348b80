"""Values of a table of pandas as Python's own."""


def text_or_none(value: object) -> str | None:
    """A cell of text; None where there is none, which pandas gives back as None, NaN or NA, by column and version."""
    return value if isinstance(value, str) else None
