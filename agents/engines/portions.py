"""Divides the requests of a step into portions that can be completed in different places."""

from collections import defaultdict
from collections.abc import Sequence

from agents.engines.base_model import Base, Bases
from agents.engines.protocol import Request


def portions(requests: Sequence[Request], bases: Bases, *, number: int, most: int) -> list[list[int]]:
    """The indices of the requests of each portion, which together are all of them.

    One portion has all requests as they come. One of several has requests of one adapter on one base, which an engine
    merges for it, and of similar length; the longest portion comes first.

    Args:
        requests: any number.
        bases: the base models of the agents.
        number: about how many portions are wanted; there is at least one for each adapter.
        most: the largest number of requests in one of several portions.
    """
    if number == 1:
        return [list(range(len(requests)))]
    size = max(1, min(most, -(-len(requests) // number)))
    of_adapter: dict[tuple[str | None, Base], list[int]] = defaultdict(list)
    for place, request in enumerate(requests):
        of_adapter[request.adapter, bases.of(request.agent)].append(place)
    lengths = [sum(len(message["content"]) for message in request.messages) for request in requests]
    found = []
    for own in of_adapter.values():
        own.sort(key=lambda place: lengths[place])
        found += [own[start : start + size] for start in range(0, len(own), size)]
    return sorted(found, key=lambda portion: -sum(lengths[place] for place in portion))
