"""The surroundings of the steps in a Prefect flow: the home's store, progress on the terminal and in the UI."""

from agents.engines.base_model import Bases
from agents.engines.settings import EngineSettings
from agents.run import Run, Runner
from agents.store import Store
from infra.home.home import current_home
from infra.home.progress import progress
from tasks import steps


def run_of(name: str, bases: Bases, *, engine: EngineSettings, runner: Runner) -> Run:
    """Cached steps over these base models.

    Args:
        name: of the society, for people.
        bases: of its agents.
        engine: what they speak through.
        runner: where the work is done.
    """
    store = Store(current_home().artifacts)
    return Run(steps=steps, bases=bases, engine=engine, store=store, runner=runner, name=name, progress=progress)
