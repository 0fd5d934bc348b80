"""The default engine: transformers models that stay in memory, and answer for all agents of their base."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict, Field

from agents.engines.base_model import Bases
from agents.engines.protocol import Engine
from agents.engines.registry import ENGINES
from agents.engines.settings import EngineSettings

if TYPE_CHECKING:
    from agents.runners.settings import Runner


@ENGINES.add("transformers")
class TransformersSettings(EngineSettings):
    """Computes in this process, on the CPU or a GPU."""

    model_config = ConfigDict(title="transformers")

    in_process: ClassVar[bool] = True
    reads_likelihoods: ClassVar[bool] = True
    mixes_bases: ClassVar[bool] = True

    name: Literal["transformers"] = Field(default="transformers", title="Engine", description="runs in this process.")

    def open(self, bases: Bases, runner: "Runner", adapters: Path) -> Engine:
        """An engine on the models in memory, which training uses too."""
        from agents.engines.transformers.resident import resident

        return resident(bases, runner, adapters)
