"""Moves the alias `champion`, the best proven generation, on the society's registered model and those of its agents.

MLflow has no transactions, so a move is first stored in the tag `champion.moving` of the society's registered model.
Then the agents' aliases move, and last the society's alias, which is the one that counts. Then the move is added to the
history: as a tag `champion.move.0001`, ... of the registered model, and of the version that was promoted or rolled
back. Last, `champion.moving` is deleted. `promote`, `rollback` and `champion` first finish a move whose tag they find;
every step can be repeated. Only one move may run at a time, since two could mix the agents of both targets.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from evaluation.record import Record
from evaluation.statistics.mcnemar import Comparison
from infra.errors import UserError
from infra.lineage.agents import model_name
from infra.lineage.client import client, find
from infra.lineage.pages import MOVE, plain, with_fact
from infra.lineage.runs import nearest
from infra.lineage.societies import SocietyVersion, find_society, list_societies, move_alias, update_page
from infra.lineage.versions import find_model

MOVING = "champion.moving"
MAX_CHARS = 1000
"""The limit for `who` and for `why`; some databases take no tag over 5000 characters."""


class Move(Record):
    """One move of `champion`; None as source or target is the untuned base."""

    number: int = Field(ge=1, description="Number of the move; the society's first is 1.")
    kind: Literal["promotion", "rollback"]
    society: str
    source: str | None = Field(description="The champion before.")
    target: str | None = Field(description="The champion after.")
    who: str
    why: str
    at: str = Field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
        description="Time of the move, ISO 8601, UTC; default: now.",
    )
    moved: bool = Field(default=True, description="False if this earlier move already made the target the champion.")

    def summary(self) -> str:
        """The move as one sentence for people."""
        did = "promoted" if self.kind == "promotion" else "rolled back"
        move = f"from {_called(self.source)} to {_called(self.target)}, by {self.who} at {self.at}: {self.why}"
        if not self.moved:
            return f"{_called(self.target)} is the champion of {self.society} already; no move ({did} {move})"
        return f"{self.society} {did} {move}"


def promote(society_name: str, version: str, who: str, why: str) -> Move:
    """Make a generation the champion; if it is the champion already, only wrong aliases of its agents are corrected.

    Args:
        society_name: Name of the society.
        version: Number of a version, or candidate.
        who: The user or flow run that decides the move, at most 1000 characters.
        why: The reason, at most 1000 characters.
    Returns:
        The move; if none was needed, the earlier move that made the generation the champion, with `moved` False.
    Raises:
        UserError: the society or version does not exist, a version of one of its agents was deleted, or who or why is
            empty or too long.
    """
    _require_reason(who, why)
    finish_interrupted_move(society_name)
    target = find_society(society_name, version)
    if target is None:
        raise UserError(f"version is {version}, but {known_versions(society_name)}")
    present = find_society(society_name, "champion")
    moves = history(society_name)
    last = moves[-1].target if moves else None
    source = present.version if present else None
    if source == target.version:
        if last == source:
            move_alias(society_name, "champion", target, target)
            return moves[-1].model_copy(update={"moved": False})
        source = last  # Somebody set the alias by hand: move the agents' aliases too, and record the move.
    require_agents(target)
    return _begin(
        Move(
            number=_number(moves),
            kind="promotion",
            society=society_name,
            source=source,
            target=target.version,
            who=who,
            why=why,
        )
    )


def rollback(society_name: str, who: str, why: str) -> Move:
    """Undo the last promotion that is not undone yet, so that the previous champion is the champion again.

    If there was no previous champion, the alias is removed, and the untuned base is the champion. If a rollback was cut
    off, this call finishes it and does nothing else.

    Raises:
        UserError: there is no champion, the previous one was deleted from the registry, or who or why is empty or too
            long.
    """
    _require_reason(who, why)
    finished = finish_interrupted_move(society_name)
    if finished is not None and finished.kind == "rollback":
        return finished
    present = find_society(society_name, "champion")
    if present is None:
        raise UserError(f"nothing to roll back: the champion is the untuned base; {known_versions(society_name)}")
    moves = history(society_name)
    before = _before(moves)
    if before is not None:
        target = find_society(society_name, before)
        if target is None:
            raise UserError(
                f"the previous champion was version {before}, but {known_versions(society_name)}; promote one of them"
            )
        require_agents(target)
    return _begin(
        Move(
            number=_number(moves),
            kind="rollback",
            society=society_name,
            source=present.version,
            target=before,
            who=who,
            why=why,
        )
    )


def finish_interrupted_move(society_name: str) -> Move | None:
    """Finish a move that was cut off.

    Returns:
        The move; None if there was none to finish.
    Raises:
        UserError: the move cannot be finished, since its target was deleted from the registry.
    """
    model = find_model(society_name)
    if model is None or MOVING not in model.tags:
        return None
    return _finish(Move.model_validate_json(model.tags[MOVING]))


def champion(society_name: str) -> SocietyVersion | None:
    """Finish a move that was cut off, then return the champion; None for the untuned base.

    Raises:
        UserError: as in `finish_interrupted_move`; or the champion was deleted from the registry, with its alias.
    """
    finish_interrupted_move(society_name)
    found = find_society(society_name, "champion")
    moves = history(society_name)
    last = moves[-1].target if found is None and moves else None
    if last and find_society(society_name, last) is None and list_societies(society_name):
        raise UserError(
            f"version {last}, the champion of society {society_name!r}, was deleted from the registry; promote another "
            f"with `maft promote {society_name} --version N`: {known_versions(society_name)}"
        )
    return found


def generation(society_name: str, which: str) -> SocietyVersion | None:
    """Find a generation of a society by its name; None for the untuned base.

    Args:
        society_name: Name of the society.
        which: base, champion (the base until a generation is promoted), candidate or the number of a version.
    Raises:
        UserError: there is no such generation, or it was pruned.
    """
    if which == "base":
        return None
    if which == "champion":
        return champion(society_name)
    found = find_society(society_name, which)
    if found is None:
        wanted = which if which == "candidate" else f"version {which}"
        require_society(society_name)
        raise UserError(f"there is no {wanted}, but {known_versions(society_name)}")
    _require_files(found)
    return found


def require_society(society_name: str) -> None:
    """Refuse a society that has no registered generation.

    Raises:
        UserError: it has none, or does not exist.
    """
    if not list_societies(society_name):
        raise UserError(known_versions(society_name))


def history(society_name: str) -> list[Move]:
    """All moves of the society, oldest first."""
    model = find_model(society_name)
    tags = model.tags if model else {}
    moves = [Move.model_validate_json(value) for key, value in tags.items() if key.startswith(MOVE)]
    return sorted(moves, key=lambda move: move.number)


def previous_champion(society_name: str) -> str | None:
    """The version that `rollback` makes the champion; None for the untuned base."""
    return _before(history(society_name))


def _number(moves: Sequence[Move]) -> int:
    """The number of the next move."""
    return moves[-1].number + 1 if moves else 1


def _begin(move: Move) -> Move:
    """Store the planned move in the tag `champion.moving`, then make the move."""
    client().set_registered_model_tag(move.society, MOVING, move.model_dump_json(exclude={"moved"}))
    return _finish(move)


def _finish(move: Move) -> Move:
    """Do all steps of a planned move; steps that were done before are repeated, which does no harm."""
    from mlflow.exceptions import MlflowException

    mlflow, name = client(), move.society
    source, target = (find_society(name, version) if version else None for version in (move.source, move.target))
    if move.target and target is None:
        raise _stuck(move, f"{_called(move.target)} was deleted")
    try:
        move_alias(name, "champion", source, target)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise _stuck(move, error.message) from error
    record = move.model_dump_json(exclude={"moved"})
    key = f"{MOVE}{move.number:04d}"
    judged = target if move.kind == "promotion" else source
    if judged:
        mlflow.set_model_version_tag(name, judged.version, key, record)
    mlflow.set_registered_model_tag(name, key, record)
    update_page(name)
    mlflow.delete_registered_model_tag(name, MOVING)
    return move


def _before(moves: Sequence[Move]) -> str | None:
    """The champion before the last promotion that is not undone; None for the untuned base."""
    sources: list[str | None] = []
    for move in moves:
        if move.kind == "promotion":
            sources.append(move.source)
        elif sources:
            sources.pop()
    return sources[-1] if sources else None


def _require_files(version: SocietyVersion) -> None:
    if version.pruned:
        raise UserError(
            f"version {version.version} of society {version.name!r} was pruned: its record stays, but its adapters are "
            f"deleted; {known_versions(version.name)}"
        )


def require_agents(version: SocietyVersion) -> None:
    """Refuse a generation whose files were deleted by a night, or an agent's version of it by a user.

    Raises:
        UserError: one of them was deleted.
    """
    _require_files(version)
    for agent, number in version.agent_versions.items():
        name = model_name(version.name, agent)
        if find(client().get_model_version, name, number) is None:
            raise UserError(
                f"version {version.version} of society {version.name!r} needs version {number} of {name}, which was "
                "deleted from the registry; choose another version"
            )


def _require_reason(who: str, why: str) -> None:
    for field, text in (("who", who), ("why", why)):
        if not text.strip() or len(text) > MAX_CHARS:
            raise UserError(f"{field} has {len(text)} characters; it must have 1 to {MAX_CHARS}, and not only spaces")


def _called(version: str | None) -> str:
    return f"version {version}" if version else "the untuned base"


def _stuck(move: Move, reason: str) -> UserError:
    return UserError(
        f"society {move.society!r} cannot move its champion from {_called(move.source)} to {_called(move.target)}: "
        f"{reason}; delete the tag {MOVING} of its registered model in MLflow, then promote a complete version"
    )


def known_versions(name: str) -> str:
    """A sentence that lists the society's versions, or names the nearest society if it has none."""
    found = list_societies(name)
    if not found:
        return f"no society {name!r} is registered at {client().tracking_uri}{nearest(name)}"
    versions = [version.version for version in found if not version.pruned]
    return f"society {name!r} has {'version' if len(versions) == 1 else 'versions'} {', '.join(versions)}"


def record_verdict(name: str, version: str, champion: str | None, comparison: Comparison, text: str) -> None:
    """Store a verdict in tags of the judged version; the tag `verdict` comes last and says that the others are there.

    Args:
        name: name of the society.
        version: version of the society's registered model that was judged.
        champion: the version that it was compared with; None for the untuned base.
        comparison: the statistical test and its numbers.
        text: the verdict as one sentence for people.
    """
    mlflow = client()
    numbers = {f"gate.{key}": str(value) for key, value in comparison.model_dump().items() if key != "verdict"}
    for key, value in {**numbers, "gate.champion": champion or "base", "gate.text": text}.items():
        mlflow.set_model_version_tag(name, version, key, value)
    judged = mlflow.get_model_version(name, version)
    page = with_fact(str(judged.description), "verdict", plain(text))
    if page != judged.description:
        mlflow.update_model_version(name, version, page)
    mlflow.set_model_version_tag(name, version, "verdict", comparison.verdict)
    update_page(name)


def was_judged(name: str, version: str) -> bool:
    """Whether this version has a verdict already."""
    return "verdict" in client().get_model_version(name, version).tags
