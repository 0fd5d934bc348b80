"""What can go wrong with a request to a service."""

from agents.engines.protocol import EngineError

MOST_SHOWN = 300
"""Characters of a service's reason that a message has."""


def safe(text: str, key: str) -> str:
    """A service's text made safe for a log: short, printable, without the key."""
    if key:
        text = text.replace(key, "***")
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


class RefusedError(EngineError):
    """The service refused a request for good: any 4xx but 429, or a redirect. `said` is its reason, safe for a log."""

    def __init__(self, message: str, status: int, said: str) -> None:
        super().__init__(message)
        self.status, self.said = status, said


class PassingError(Exception):
    """The service is busy, fails or cannot be reached; `asked` is how many seconds it asks to wait."""

    def __init__(self, fault: str, asked: float = 0.0) -> None:
        super().__init__(fault)
        self.asked = asked
