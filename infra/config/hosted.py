"""The config section `hosted`: some agents are at a service, and the others on this machine."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agents.engines.registry import ENGINES
from agents.engines.settings import EngineSettings
from agents.training.methods import METHODS
from agents.training.settings import FinetuneSettings
from infra.config.sections import Kinds


class Hosted(BaseModel):
    """Agents that speak and learn at a service, in a society whose other agents do so here."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Hosted agents")

    agents: list[Annotated[int, Field(ge=0, lt=64)]] = Field(
        min_length=1,
        title="Which agents",
        description="Their numbers, counted from 0: 2 means generator-2 and critic-2. At least one agent stays here.",
    )
    base_model: str | None = Field(
        default=None,
        min_length=1,
        title="Base model",
        description="The base model that the service has, a local folder or a hub id; only its tokenizer and its chat "
        "template are read. None: that which the agents have by base_model or base_models.",
    )
    engine: Annotated[EngineSettings, Kinds(ENGINES, tag="name", default="tinker")] = Field(
        title="Engine", description="The service by which they speak: tinker or openai."
    )
    finetune: Annotated[FinetuneSettings, Kinds(METHODS, tag="method", default="tinker")] = Field(
        title="Finetuning",
        description="How the service trains them: tinker or jobs. Votes needed are those of the section finetune.",
    )

    def check(self, agents: int, min_votes: int) -> None:
        """Refuse numbers of agents that do not fit, and what is not a service.

        Args:
            agents: N.
            min_votes: that of the agents on this machine.

        Raises:
            ValueError: the message names the field.
        """
        wrong = sorted(index for index in self.agents if index >= agents)
        if wrong:
            raise ValueError(
                f"hosted.agents has {wrong[0]}, but the numbers of agents={agents} go from 0 to {agents - 1}"
            )
        if len(set(self.agents)) < len(self.agents):
            raise ValueError(f"hosted.agents is {self.agents}; name each agent once")
        if len(self.agents) == agents:
            raise ValueError(
                "hosted.agents names all agents; set engine and finetune to those of hosted, and leave hosted out"
            )
        if not self.engine.asks_server or not self.engine.learns_by:
            right = " or ".join(name for name in ENGINES.names() if ENGINES[name].learns_by)
            raise ValueError(f"hosted.engine.name is {self.engine.name}, which is no service; set it to {right}")
        if not self.finetune.asks_service:
            right = " or ".join(name for name in METHODS.names() if METHODS[name].asks_service)
            raise ValueError(
                f"hosted.finetune.method is {self.finetune.method}, which trains on this machine; set it to {right}"
            )
        # By value: a config that was saved has every field set.
        if self.finetune.min_votes not in {type(self.finetune).model_fields["min_votes"].default, min_votes}:
            raise ValueError(
                f"hosted.finetune.min_votes is {self.finetune.min_votes}, but all agents learn from the same votes; "
                "set finetune.min_votes instead"
            )
