"""The fields of the config section `engine` that all engines share; each engine has its settings in its own file."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from agents.engines.base_model import Bases
from agents.engines.protocol import Engine

if TYPE_CHECKING:
    from agents.runners.settings import Runner


class EngineSettings(BaseModel):
    """One engine: its settings, what it can do, and how it is opened.

    A new engine is a file with a subclass, registered under the name that `engine.name` takes:

        @ENGINES.add("echo")
        class EchoSettings(EngineSettings):
            name: Literal["echo"] = Field(default="echo", title="Engine", description="repeats the question.")

            def open(self, bases: Bases, runner: Runner, adapters: Path) -> Engine:
                return Echo()
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset()
    """Fields that change no result, such as the address of a server or the number of requests at once."""
    in_process: ClassVar[bool] = False
    """Whether the engine's models are those of this process, which trains them and computes likelihoods."""
    reads_likelihoods: ClassVar[bool] = False
    """Whether likelihoods of texts can be computed under the agents that the engine speaks as."""
    asks_server: ClassVar[bool] = False
    """Whether the work is done by a server, so that this process only asks it, whichever the runner."""
    loads_adapters: ClassVar[bool] = True
    """Whether the engine can speak with adapters that were trained in this process."""
    learns_by: ClassVar[tuple[str, ...]] = ()
    """The training methods of services whose adapters the engine can speak with."""
    mixes_bases: ClassVar[bool] = False
    """Whether agents can have different base models."""

    name: str = Field(title="Engine", description="The name of the engine; each engine describes itself.")

    def check(self) -> None:
        """Refuse wrong settings before anything is loaded or sent.

        Raises:
            EngineError: the message says what is wrong and what would be right.
        """

    def open(self, bases: Bases, runner: "Runner", adapters: Path) -> Engine:
        """The engine; the same arguments give the same engine.

        Args:
            bases: the base models of the agents.
            runner: the device and the batch size.
            adapters: the folder that holds an adapter's folder under its SHA-256.

        Raises:
            EngineError: see `check`.
        """
        raise NotImplementedError
