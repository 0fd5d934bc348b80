"""Which agents of a society a service has, while the others are on this machine."""

from pydantic import Field, SerializeAsAny

from agents.engines.registry import AnyEngine
from agents.training.settings import FinetuneSettings
from evaluation.record import Record


class HostedAgents(Record):
    """The agents at a service, and the service."""

    agents: tuple[int, ...] = Field(min_length=1)
    """Their indices; with an index, the generator and the critic are there."""
    engine: AnyEngine
    """How the service speaks."""
    finetune: SerializeAsAny[FinetuneSettings] | None = None
    """How it trains; None if no agent learns, as in a served society."""
