"""Base URLs of services."""

import ipaddress
from urllib.parse import urlsplit


def base_url(url: str) -> str:
    """A base URL without a slash at its end.

    Raises:
        ValueError: it is not one of HTTP, or has more than scheme, host, port and path.
    """
    try:
        parts = urlsplit(url)
        whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.query or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("a base URL is needed: http:// or https://, a host, and perhaps a port and a path")
    if "@" in parts.netloc:
        raise ValueError("a key in a URL is written to logs; set it in the environment instead, such as OPENAI_API_KEY")
    return url.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether the URL names this machine: localhost or a loopback address."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def same_server(one: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port; a service may train and speak under different paths."""
    return urlsplit(one)[:2] == urlsplit(other)[:2]
