"""How long a service asks to wait, read from the headers of its answers.

`Retry-After` and `retry-after-ms` say when to send a refused request again. A service may also limit requests and
tokens by the minute; `x-ratelimit-remaining-requests: 0` with `x-ratelimit-reset-requests: 1m30s` says that the next
request would be refused, and for how long (https://developers.openai.com/api/docs/guides/rate-limits).
"""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def seconds_to_wait(headers: Mapping[str, str]) -> float:
    """Seconds that a service asks to wait before the refused request is sent again; 0.0 if it does not say.

    Args:
        headers: those of the answer; names are looked up in lower case.
    """
    return max(
        1e-3 * _number(headers.get("retry-after-ms", "")),
        retry_after(headers.get("retry-after", "")),
        seconds_to_reset(headers),
    )


def seconds_to_reset(headers: Mapping[str, str]) -> float:
    """Seconds until a limit that is used up, by requests or by tokens, lets through more; 0.0 if none is used up."""
    return max(
        duration(headers.get(f"x-ratelimit-reset-{kind}", ""))
        if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0"
        else 0.0
        for kind in ("requests", "tokens")
    )


def retry_after(text: str) -> float:
    """Seconds in a Retry-After header; 0.0 if it is neither a number nor a date."""
    try:
        return _number(text) or _until(text)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def duration(text: str) -> float:
    """Seconds in a duration such as 6m0s, 20ms or 59 (seconds); 0.0 if it is none."""
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text.strip():
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return _number(text)


def _number(text: str) -> float:
    text = text.strip()
    return float(text) if text.isascii() and text.replace(".", "", 1).isdigit() else 0.0


def _until(date: str) -> float:
    """Seconds until an HTTP date; 0.0 when it is past."""
    seconds: float = parsedate_to_datetime(date).timestamp() - time.time()
    return max(0.0, seconds)
