"""What the steps of a Prefect flow use: the home's store, and progress on the terminal and in the UI."""

from agents.engines.base_model import Bases
from agents.engines.settings import EngineSettings
from agents.run import Run, Runner
from agents.store import Store
from infra.home.home import current_home
from infra.home.progress import progress
from tasks import steps


def run_of(name: str, bases: Bases, *, engine: EngineSettings, runner: Runner) -> Run:
    """A run with cached steps on these base models.

    Args:
        name: the name of the society, for display.
        bases: the base models of its agents.
        engine: the engine that samples their responses.
        runner: the device and the batch size.
    """
    store = Store(current_home().artifacts)
    return Run(steps=steps, bases=bases, engine=engine, store=store, runner=runner, name=name, progress=progress)
