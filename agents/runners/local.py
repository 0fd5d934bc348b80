"""The default runner: all work is done in this process."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field

from agents.engines.base_model.nf4 import check_installed
from agents.engines.protocol import EngineError, OnProgress
from agents.runners.registry import RUNNERS
from agents.runners.settings import Part, Runner, Together, Work

if TYPE_CHECKING:
    from agents.run import Run


@RUNNERS.add("local")
class Local(Runner):
    """Does the work in this process, one part after another."""

    model_config = ConfigDict(title="local")

    name: Literal["local"] = Field(default="local", title="Runner", description="this process.")

    def check(self) -> None:
        """Refuse a device that this machine does not have.

        Raises:
            EngineError: the message says which devices there are.
            BaseModelError: `dtype` is nf4, and bitsandbytes is not installed.
        """
        if self.dtype == "nf4":
            check_installed()
        if not self.device.startswith("cuda"):
            return
        import torch

        number, there = int(self.device.partition(":")[2] or 0), torch.cuda.device_count()
        if number >= there:
            found = f"only {there} GPUs" if there else "no GPU"
            raise EngineError(f"runner.device is {self.device}, but torch finds {found} here; set it to auto or cpu")

    def do(self, work: Work, run: "Run", parts: Sequence[Part], on_progress: OnProgress) -> list[Any]:
        """The results of `work` on each part, computed one after another."""
        run.store.fetch({adapter for part in parts for adapter in part.adapters})
        if len(parts) == 1:
            return [work(run, parts[0].given, on_progress)]
        together = Together(parts, on_progress)
        return [work(run, part.given, partial(together.tell, place)) for place, part in enumerate(parts)]
