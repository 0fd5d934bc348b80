"""Keys of services, which come from the environment and are never shown."""

import os

from pydantic import SecretStr

from agents.engines.protocol import EngineError
from agents.hosted.urls import is_loopback

KEY = "OPENAI_API_KEY"


def api_key(url: str, *, section: str = "engine", variable: str = KEY) -> SecretStr | None:
    """The key in the environment; None if no key is set and the server is on this machine.

    Args:
        url: the server's base URL.
        section: the section of the config that has it.
        variable: the name of the environment variable.

    Raises:
        EngineError: no key is set for a server on another machine, or the key has characters that a header cannot have.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        if is_loopback(url):
            return None
        raise EngineError(
            f"{section}.url is {url}, but {variable} is not set in the environment; set it to the server's key"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        # The HTTP library would show the key in its error.
        raise EngineError(
            f"{variable} has characters that a key cannot have (it is not shown); set it to the server's key"
        )
    return SecretStr(key)
