"""Reads what a service answers, of which only some fields are used."""

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from agents.engines.protocol import EngineError

if TYPE_CHECKING:
    from agents.hosted.http import Server

T = TypeVar("T", bound=BaseModel)


def read(kind: type[T], server: "Server", content: bytes) -> T:
    """An answer as a model.

    Raises:
        EngineError: it is none; the message says where.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        place = ".".join(map(str, error.errors(include_input=False)[0]["loc"])) or "the whole answer"
        raise EngineError(
            f"{server.section}.url {server.url}: not an answer of such a service ({place} is not valid): "
            f"{server.shown(content)!r}; check {server.section}.service and {server.section}.url"
        ) from None
