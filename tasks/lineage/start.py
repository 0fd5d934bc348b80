"""Which generation a job goes on from, and what its own will be called."""

from prefect import task
from prefect.context import FlowRunContext

from agents.engines.base_model import Bases
from agents.society import Society
from agents.store import Store
from evaluation.record import Record
from infra.config.job import Config
from infra.config.sections import material
from infra.errors import UserError
from infra.home.home import current_home
from infra.lineage import champion, runs
from infra.lineage.agents import fetch_adapter, model_name
from infra.lineage.records import identity
from infra.lineage.societies import SocietyVersion, next_generation


class Start(Record):
    """What a job starts with."""

    society: Society
    origin: SocietyVersion | None
    """The society in the registry; None for the untuned base."""
    champion: str | None
    """Version of the champion when the job began, which its last generation is compared with; None for the base."""
    first_generation: int
    """The number of the first generation that the job makes."""
    request: str
    """Digest of what was asked for, by which a job that was cut off is found again."""
    flow_run_id: str

    def made(self, iterations: int) -> str:
        """What to call the generations that the job makes."""
        last = self.first_generation + iterations - 1
        return f"generation {last}" if iterations == 1 else f"generations {self.first_generation} to {last}"


@task(task_run_name="start from {config.start_from}")
def resolve_start(config: Config, bases: Bases) -> Start:
    """Look up where to start, or where this very job started before it was cut off.

    Not cached: champions move. A job that began from the champion goes on from that generation when it is started
    again, though it may have made another champion meanwhile.

    Raises:
        UserError: there is no such generation, or it belongs to other base models or another number of agents.
    """
    flow_run_id = current_flow_run_id()
    earlier = runs.find_job(config.society, {"prefect.flow_run_id": flow_run_id}) if flow_run_id else None
    version = earlier.data.tags["maft.start_version"] if earlier else config.start_from
    best = champion.champion(config.society)
    origin = champion.generation(config.society, version)
    request = _request(config, bases, origin)
    if earlier is None:
        same = runs.find_job(config.society, {"maft.request": request})
        # The champion of tomorrow is another generation's parent; a version and the base are the same for ever.
        again = config.start_from not in {"champion", "candidate"}
        earlier = same if same and (again or same.info.status != "FINISHED") else None
    tags = earlier.data.tags if earlier else {}
    first = 1 if config.start_from == "base" else next_generation(config.society)
    return Start(
        society=_at_hand(origin, config, bases) if origin else Society.untuned(config.agents),
        origin=origin,
        champion=_or_none(tags["maft.champion"]) if tags else best.version if best else None,
        first_generation=int(tags["maft.first_generation"]) if tags else first,
        request=request,
        flow_run_id=flow_run_id,
    )


def current_flow_run_id() -> str:
    """Id of the flow run that this is part of; empty outside of one."""
    context = FlowRunContext.get()
    return str(context.flow_run.id) if context and context.flow_run else ""


def _or_none(version: str) -> str | None:
    return None if version == "base" else version


def _request(config: Config, bases: Bases, origin: SocietyVersion | None) -> str:
    settings = {name: value for name, value in material(config).items() if name != "start_from"}
    return identity(settings, bases.sha256, origin.version if origin else "base")


def _at_hand(origin: SocietyVersion, config: Config, bases: Bases) -> Society:
    """The generation, its adapters in the store."""
    where = f"version {origin.version} of society {origin.name!r} (generation {origin.generation})"
    if origin.base_sha256 != bases.sha256:
        names = origin.base_model.splitlines()
        right = f"base_models to {names}" if len(names) > 1 else "base_model to that one"
        raise UserError(
            f"{'base_models' if config.base_models else 'base_model'} is {', '.join(config.bases)!r}, but {where} was "
            f"tuned on {', '.join(names)!r} with other weights; set {right}, or start_from to base"
        )
    if len(origin.society.generators) != config.agents:
        raise UserError(
            f"agents is {config.agents}, but {where} has {len(origin.society.generators)} generation agents; "
            "set agents to that number, or start_from to base"
        )
    fetch_adapters(origin)
    return origin.society


def fetch_adapters(version: SocietyVersion) -> None:
    """Have every adapter of a registered generation in the store."""
    store = Store(current_home().artifacts)
    for agent in version.society.agents:
        if agent.adapter:
            name = model_name(version.name, agent.name)
            fetch_adapter(store, name, version.agent_versions[agent.name], agent.adapter)
