"""Variables that Ray reads when it is imported, so this module must not import it."""

import os
import secrets
import sys

HEALTH = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
"""Variables of a cluster's head, with which a lost node is noticed within 5 s in place of 18 s."""


def prepare(*, alone: bool) -> None:
    """Set the variables that the user has not set, unless Ray was imported already.

    Ray listens on every interface, so every cluster has a secret, also one of this machine alone.

    Args:
        alone: whether this process starts a cluster of its own, with a secret that nobody else knows.
    """
    if "ray" in sys.modules:
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if not alone:
        return
    for name, value in HEALTH.items():
        os.environ.setdefault(name, value)
    if "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
