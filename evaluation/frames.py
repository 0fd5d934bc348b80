"""Values of pandas frames as Python has them."""


def text_or_none(value: object) -> str | None:
    """A text as it is; None for a missing one, which a frame may give back as NaN."""
    return value if isinstance(value, str) else None
