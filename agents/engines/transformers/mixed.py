"""An engine for agents of different base models: the engine of an agent's base answers its requests."""

from collections.abc import Mapping, Sequence

from agents.engines.base_model import Base, Bases
from agents.engines.protocol import Completion, OnProgress, Request, Sampling
from agents.engines.transformers.engine import TransformersEngine


class MixedEngine:
    """Completes requests on several resident base models; all requests for one base go to its engine at once.

    Args:
        bases: the base of each agent.
        engines: one engine for each base.
    """

    def __init__(self, bases: Bases, engines: Mapping[Base, TransformersEngine]) -> None:
        self.bases = bases
        self.engines = engines

    def of(self, index: int) -> TransformersEngine:
        """The engine of the agents with this index."""
        return self.engines[self.bases.of(index)]

    def complete(self, requests: Sequence[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """Completions in the order of the requests; bases are taken one after another."""
        completions: dict[int, Completion] = {}
        for base, engine in self.engines.items():
            places = [place for place, request in enumerate(requests) if self.bases.of(request.agent) == base]
            before = len(completions)

            def tell(done: int, _: int, before: int = before) -> None:
                on_progress(before + done, len(requests))

            if places:
                said = engine.complete([requests[place] for place in places], sampling, tell)
                completions |= zip(places, said, strict=True)
        return [completions[place] for place in range(len(requests))]
