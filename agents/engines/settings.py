"""What the section `engine` of a config has in common for all engines; each has its own settings in its own file."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from agents.engines.base_model import Bases
from agents.engines.protocol import Engine

if TYPE_CHECKING:
    from agents.run import Runner


class EngineSettings(BaseModel):
    """One engine: what it is asked for, what it can do, and how it is opened.

    A new engine is a file with a subclass, registered under the name that `engine.name` takes:

        @ENGINES.add("echo")
        class EchoSettings(EngineSettings):
            name: Literal["echo"] = Field(default="echo", title="Engine", description="repeats the question.")

            def open(self, bases: Bases, runner: Runner, adapters: Path) -> Engine:
                return Echo()
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset()
    """Fields that change no result: who answers matters, but not from where or how fast."""
    reads_likelihoods: ClassVar[bool] = False
    """Whether the model that speaks is here to read texts with."""
    mixes_bases: ClassVar[bool] = False
    """Whether agents may be of different base models."""

    name: str = Field(title="Engine", description="Which engine it is; each has its own words for it.")

    def check(self) -> None:
        """Refuse what can be seen to be wrong before anything is loaded or asked.

        Raises:
            EngineError: the message says what is wrong and what would be right.
        """

    def open(self, bases: Bases, runner: "Runner", adapters: Path) -> Engine:
        """The engine; the same one as long as the arguments are.

        Args:
            bases: of the agents that speak.
            runner: where the work is done.
            adapters: the folder that holds an adapter's folder under its SHA-256.

        Raises:
            EngineError: as `check`.
        """
        raise NotImplementedError
