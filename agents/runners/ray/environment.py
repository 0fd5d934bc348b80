"""The address, the token and the variables of a cluster; Ray reads the variables when it is imported."""

import os
import secrets
from pathlib import Path

HEALTH = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
"""Variables of a cluster's head, with which a lost node is noticed within 5 s in place of 18 s."""


def is_address(text: str) -> bool:
    """Whether a text is HOST:PORT."""
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit() and "/" not in host


def token_file() -> Path:
    """The file with the cluster's token, where Ray looks for it: RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()


def has_token() -> bool:
    """Whether this machine has a token, or its cluster needs none."""
    without = os.environ.get("RAY_AUTH_MODE", "token") != "token"
    return without or "RAY_AUTH_TOKEN" in os.environ or token_file().is_file()


def variables(*, alone: bool) -> dict[str, str]:
    """The variables of a driver; those that the user has set stay as they are.

    Ray listens on every interface, so every cluster has a secret, also one of this machine alone.

    Args:
        alone: whether the driver starts a cluster of its own, with a secret that nobody else knows.
    """
    wanted = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
    if alone:
        wanted |= HEALTH
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:
            wanted["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    return {name: os.environ.get(name, value) for name, value in wanted.items()}
