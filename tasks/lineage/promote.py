"""Promote: compare the newest generation with the champion, problem by problem."""

from prefect import task
from prefect.events import emit_event

from agents.engines import base_model
from agents.engines.base_model import Bases
from agents.frames import read_problems, read_responses
from agents.records import Transcript
from agents.society import Society
from evaluation.measures.debates import society_right
from evaluation.record import Record
from evaluation.statistics.mcnemar import Comparison, compare
from infra.config.job import Config
from infra.home.store import current_store
from infra.lineage import champion as moves
from infra.lineage.origin import fetch_adapters
from infra.lineage.societies import SocietyVersion, find_society
from infra.operation.nights import NOTHING_LEARNED


class Champion(Record):
    """The best proven generation; `version` is None for the untuned base."""

    version: str | None
    society: Society
    bases: Bases


class Verdict(Record):
    """The decision of the promotion gate."""

    candidate: str
    champion: str | None
    run_id: str
    """The MLflow run of the candidate's generation."""
    comparison: Comparison
    text: str


@task(task_run_name="fetch the champion")
def champion_of(name: str, version: str | None, *, agents: int, bases: Bases) -> Champion:
    """The generation that was the champion when the job began; its adapters are fetched.

    Raises:
        BaseModelError: the folder of one of its bases has changed since.
    """
    # If a user has deleted that generation since, the present champion takes its place.
    found = (find_society(name, version) or find_society(name, "champion")) if version else None
    if found is None:
        return Champion(version=None, society=Society.untuned(agents), bases=bases)
    fetch_adapters(found, current_store())
    own = found.bases.trusting(bases.of(0).trust_remote_code)
    base_model.check_unchanged(own)
    return Champion(version=found.version, society=found.society, bases=own)


def judge(comparison: Comparison, candidate: str, champion: str, *, same: bool) -> tuple[Comparison, str]:
    """The comparison with its final verdict, and the verdict as one line for people.

    Args:
        comparison: the candidate and the champion on the same problems.
        candidate: its name, such as generation 3.
        champion: its name.
        same: whether both have the same adapters, so that chance alone made their debates differ; then it is a tie.
    """
    if not same:
        return comparison, comparison.describe(candidate, champion)
    text = (
        f"{NOTHING_LEARNED}: {candidate} has the same adapters as {champion}, so only the sampling differs: "
        f"{candidate} was measured at {100 * comparison.candidate_accuracy:.1f} %, "
        f"{champion} at {100 * comparison.champion_accuracy:.1f} %"
    )
    return comparison.model_copy(update={"verdict": "tie"}), text


@task(task_run_name="generation {candidate.generation} · promotion gate")
def gate(
    candidate: SocietyVersion, champion: Champion, *, debates: tuple[Transcript, Transcript], config: Config, who: str
) -> Verdict:
    """Move `@champion` to the candidate if it wins on the same held-out problems; report the verdict.

    A verdict is final: the same job started again reports it and moves nothing. A candidate with the champion's own
    adapters has learned nothing, so the verdict is a tie, whatever the two debates gave by chance.

    Args:
        candidate: the newest generation.
        champion: the champion when the job began.
        debates: the candidate's debate and the champion's debate, over the same problems.
        config: of the job, with the level of significance, see `evaluation.statistics.mcnemar`, and the grader.
        who: who moves the alias, for the record.
    """
    store = current_store()
    asked, seed = read_problems(store, debates[0].problems), debates[0].stream.seed
    ours, theirs = (
        society_right(asked, read_responses(store, debate.responses), seed, grader=config.answers) for debate in debates
    )
    comparison = compare(ours, theirs, config.promotion.level)
    names = [f"generation {candidate.generation}", f"generation {champion.society.generation}"]
    if names[0] == names[1]:  # made by two jobs that began from the same generation
        names = [f"{names[0]} (version {candidate.version})", f"{names[1]} (version {champion.version})"]
    bases = champion.bases.trusting(False)
    same = (candidate.bases, candidate.society.agents) == (bases, champion.society.agents)
    comparison, text = judge(comparison, *names, same=same)
    verdict = Verdict(
        candidate=candidate.version,
        champion=champion.version,
        run_id=candidate.run_id,
        comparison=comparison,
        text=text,
    )
    if moves.was_judged(candidate.name, candidate.version):
        moves.finish_interrupted_move(candidate.name)
        return verdict
    if comparison.verdict == "gain":
        moves.promote(candidate.name, candidate.version, who=who, why=text)
    event = {"gain": "maft.promoted", "loss": "maft.regressed", "tie": "maft.compared"}[comparison.verdict]
    emit_event(
        event=event,
        resource={"prefect.resource.id": f"maft.society.{candidate.name}", "prefect.resource.name": candidate.name},
        payload={"generation": candidate.generation, "version": candidate.version, "text": text},
    )
    # This is last: after a kill before it, the same verdict is given again; after a later kill, no second event.
    moves.record_verdict(candidate.name, candidate.version, champion.version, comparison, text)
    return verdict
