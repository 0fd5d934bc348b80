"""Which generation a job starts from, and which numbers its new generations get."""

from prefect import task
from prefect.context import FlowRunContext

from agents.engines.base_model import Bases
from agents.society import Society
from evaluation.record import Record
from infra.config.job import Config
from infra.config.sections import material
from infra.home.store import current_store
from infra.lineage import champion, runs
from infra.lineage.origin import society_of
from infra.lineage.records import identity
from infra.lineage.societies import SocietyVersion, find_society, next_generation


class Start(Record):
    """The generation that a job starts from, and the numbers and records that it continues."""

    society: Society
    origin: SocietyVersion | None
    """The registered version of the society; None for the untuned base."""
    champion: str | None
    """Version of the champion when the job began, which its last generation is compared with; None for the base."""
    first_generation: int
    """The number of the first generation that the job makes."""
    parent_run: str | None
    """The MLflow run of the generation whose lineage the job continues; None for a new lineage."""
    request: str
    """Digest of the job's settings, bases and origin; an interrupted job is found again by it."""
    flow_run_id: str

    def made(self, iterations: int) -> str:
        """The generations that the job makes, as text, such as `generations 1 to 2`."""
        last = self.first_generation + iterations - 1
        return f"generation {last}" if iterations == 1 else f"generations {self.first_generation} to {last}"


@task(task_run_name="start from {config.start_from}")
def resolve_start(config: Config, bases: Bases) -> Start:
    """Look up where to start; an interrupted job starts from the same generation as before.

    Not cached, since the champion can change. A job that began from the champion starts from the same generation when
    it is started again, even if it has made another champion since.

    Raises:
        UserError: there is no such generation, one of its agents was deleted, or it belongs to other base models or
            another number of agents.
    """
    flow_run_id = current_flow_run_id()
    earlier = runs.find_job(config.society, {"prefect.flow_run_id": flow_run_id}) if flow_run_id else None
    version = earlier.data.tags["maft.start_version"] if earlier else config.start_from
    best = champion.champion(config.society)
    origin = champion.generation(config.society, version)
    if origin:
        champion.require_agents(origin)
    request = _request(config, bases, origin)
    store = current_store()
    if earlier is None:
        same = runs.find_job(config.society, {"maft.request": request})
        # `champion` and `candidate` can name other generations later; a version and the base stay the same.
        again = config.start_from not in {"champion", "candidate"}
        earlier = same if same and (again or same.info.status != "FINISHED") else None
    tags = earlier.data.tags if earlier else {}
    first = 1 if config.start_from == "base" else next_generation(config.society)
    first = int(tags["maft.first_generation"]) if tags else first
    # Without a champion a night starts from the base, and still continues the lineage of the nights before it.
    before = origin or (find_society(config.society, "candidate") if first > 1 else None)
    return Start(
        society=society_of(origin, config, bases, store) if origin else Society.untuned(config.agents),
        origin=origin,
        champion=_or_none(tags["maft.champion"]) if tags else best.version if best else None,
        first_generation=first,
        parent_run=before.run_id if before else None,
        request=request,
        flow_run_id=flow_run_id,
    )


def current_flow_run_id() -> str:
    """Id of the current flow run; empty outside of a flow run."""
    context = FlowRunContext.get()
    return str(context.flow_run.id) if context and context.flow_run else ""


def _or_none(version: str) -> str | None:
    return None if version == "base" else version


def _request(config: Config, bases: Bases, origin: SocietyVersion | None) -> str:
    settings = {name: value for name, value in material(config).items() if name != "start_from"}
    return identity(settings, bases.sha256, origin.version if origin else "base")
