"""Moves of the champion on a real MLflow server: of the society and all its agents, with and without a kill -9."""

from pathlib import Path

import pytest

from infra.cli.asking import ask_society
from infra.errors import UserError
from infra.lineage.champion import (
    MOVING,
    Move,
    champion,
    finish_interrupted_move,
    generation,
    history,
    promote,
    rollback,
)
from infra.lineage.client import client
from infra.lineage.pages import MOVE
from infra.lineage.societies import SocietyVersion, find_society
from tests.infra.lineage_samples import a_job
from tests.infra.test_lineage_killed import killed_at_every_write
from tests.infra.test_societies import a_generation, aliases, bare, everywhere, row


def generations(name: str, tmp_path: Path, agents: tuple[int, ...]) -> list[SocietyVersion]:
    """Register one version for each number of agents, each made from the untuned base."""
    job, folder = a_job(name), bare(tmp_path)
    return [a_generation(job, generation, folder, n=n) for generation, n in enumerate(agents, start=1)]


def by_hand(name: str, version: str) -> Move:
    return promote(name, version, who="ada", why="it wins")


def test_promote_and_rollback_move_the_society_and_its_agents_together(tracking: str, tmp_path: Path) -> None:
    one, two = generations("moves", tmp_path, (1, 2))
    assert champion("moves") is generation("moves", "champion") is generation("moves", "base") is None
    assert [generation("moves", which) for which in ("1", "candidate")] == [one, two]
    with pytest.raises(UserError, match="there is no version 3, but society 'moves' has versions 1, 2"):
        generation("moves", "3")
    move = promote("moves", "1", who="ada", why="a | gain <b>")
    assert (move.number, move.kind, move.source, move.target) == (1, "promotion", None, "1")
    assert aliases("moves", "champion") == everywhere(one)
    assert champion("moves") == find_society("moves", "champion") == one

    assert by_hand("moves", "candidate").summary().startswith("moves promoted from version 1 to version 2, by ada at ")
    assert aliases("moves", "champion") == everywhere(two)
    assert aliases("moves", "candidate") == everywhere(two)
    again = by_hand("moves", "2")
    assert (again.moved, again.number, len(history("moves"))) == (False, 2, 2)
    assert "version 2 is the champion of moves already; no move (promoted from version 1" in again.summary()

    assert rollback("moves", who="bob", why="it lied").target == "1"
    assert aliases("moves", "champion") == everywhere(one)  # Agents that exist only in version 2 lost the alias.
    assert rollback("moves", who="bob", why="so did that").target is None
    assert aliases("moves", "champion") == {}
    with pytest.raises(UserError, match="the champion is the untuned base; society 'moves' has versions 1, 2"):
        rollback("moves", who="bob", why="more")

    moves = history("moves")
    assert [(m.kind, m.source, m.target, m.who) for m in moves] == [
        ("promotion", None, "1", "ada"),
        ("promotion", "1", "2", "ada"),
        ("rollback", "2", "1", "bob"),
        ("rollback", "1", None, "bob"),
    ]
    assert all(m.moved and m.at.endswith("+00:00") for m in moves)
    tagged = [{key for key in client().get_model_version("moves", v).tags if key.startswith(MOVE)} for v in ("1", "2")]
    assert tagged == [{f"{MOVE}0001", f"{MOVE}0004"}, {f"{MOVE}0002", f"{MOVE}0003"}]
    page = client().get_registered_model("moves").description
    assert "| base &ensp;| [1](#/models/moves/versions/1) &ensp;| ada &ensp;| a &#124; gain &#60;b&#62; |" in page
    assert [row(page, version)[-1] for version in ("2", "1")] == ["`candidate`", ""]


def test_a_rollback_goes_to_the_champion_before_however_they_came_about(tracking: str, tmp_path: Path) -> None:
    generations("stack", tmp_path, (1, 1))
    for version in ("1", "2", "1"):
        by_hand("stack", version)
    assert rollback("stack", who="bob", why="x").target == "2"
    by_hand("stack", "1")
    assert [rollback("stack", who="bob", why="x").target for _ in range(3)] == ["2", "1", None]


def test_aliases_that_were_moved_by_hand_are_brought_together(tracking: str, tmp_path: Path) -> None:
    one, two = generations("strays", tmp_path, (1, 1))
    by_hand("strays", "1")
    client().set_registered_model_alias("strays-critic-0", "champion", "2")
    assert not by_hand("strays", "1").moved
    assert aliases("strays", "champion") == everywhere(one)
    client().set_registered_model_alias("strays", "champion", "2")
    assert by_hand("strays", "2").source == "1"
    assert aliases("strays", "champion") == everywhere(two)
    assert rollback("strays", who="bob", why="x").target == "1"


def test_what_cannot_be_promoted_says_what_could(tracking: str, tmp_path: Path) -> None:
    generations("refused", tmp_path, (1, 1))
    with pytest.raises(UserError, match="version is 7, but society 'refused' has versions 1, 2"):
        by_hand("refused", "7")
    with pytest.raises(UserError, match="generation is 'best'"):
        by_hand("refused", "best")
    with pytest.raises(UserError, match="version is 1, but no society 'nobody' is registered at http"):
        by_hand("nobody", "1")
    for which in ("champion", "candidate", "1"):
        with pytest.raises(UserError, match=r"^no society 'nobody' is registered at http"):
            ask_society("nobody", which, "What is the result of 1+2?", 0)
    with pytest.raises(UserError, match="the champion is the untuned base; no society 'nobody'"):
        rollback("nobody", who="bob", why="x")
    with pytest.raises(UserError, match="why has 0 characters"):
        promote("refused", "1", who="ada", why="")
    with pytest.raises(UserError, match="who has 1001 characters; it must have 1 to 1000"):
        promote("refused", "1", who="a" * 1001, why="x")
    assert finish_interrupted_move("nobody") is None
    assert champion("nobody") is None

    client().delete_model_version("refused-critic-0", "2")
    with pytest.raises(
        UserError, match="version 2 of society 'refused' needs version 2 of refused-critic-0, which was"
    ):
        by_hand("refused", "2")
    assert history("refused") == []
    assert aliases("refused", "champion") == {}


def test_a_move_whose_target_was_deleted_meanwhile_says_how_to_give_it_up(tracking: str, tmp_path: Path) -> None:
    one, _ = generations("stuck", tmp_path, (1, 1))
    moved = by_hand("stuck", "1")
    half = moved.model_copy(update={"number": 2, "source": "1", "target": "2"})
    client().set_registered_model_tag("stuck", MOVING, half.model_dump_json())
    client().delete_model_version("stuck-critic-0", "2")
    with pytest.raises(
        UserError, match=r"cannot move its champion from version 1 to version 2: .*delete the tag champ"
    ):
        champion("stuck")
    client().delete_model_version("stuck", "2")
    with pytest.raises(UserError, match="version 2 was deleted; delete the tag"):
        by_hand("stuck", "1")
    client().delete_registered_model_tag("stuck", MOVING)
    assert not by_hand("stuck", "1").moved
    assert aliases("stuck", "champion") == everywhere(one)
    assert history("stuck") == [moved]


def _there_and_back(k: int, _: Path) -> None:
    """Promote from the base and roll back (moves 2k - 1 and 2k); each of three functions finishes a move cut off."""
    version = find_society("there-and-back", "1")
    promotion = 2 * k - 1, version, lambda: by_hand("there-and-back", "1")
    undoing = 2 * k, None, lambda: rollback("there-and-back", who="bob", why="x")
    for number, champion_then, move in (promotion, undoing):
        half = client().get_registered_model("there-and-back").tags.get(MOVING)
        if half and Move.model_validate_json(half).number == number:
            (move, lambda: finish_interrupted_move("there-and-back"), lambda: champion("there-and-back"))[k % 3]()
        elif len(history("there-and-back")) < number:
            move()
        else:
            continue
        assert MOVING not in client().get_registered_model("there-and-back").tags
        assert len(history("there-and-back")) == number
        assert aliases("there-and-back", "champion") == everywhere(champion_then)


def test_a_move_killed_at_any_write_is_completed_once(tracking: str, tmp_path: Path) -> None:
    generations("there-and-back", tmp_path, (1,))
    writes = killed_at_every_write(_there_and_back, tmp_path)
    assert writes > 14
    moves = history("there-and-back")
    assert [move.number for move in moves] == list(range(1, 2 * writes + 1))
    assert [(move.kind, move.target) for move in moves] == [("promotion", "1"), ("rollback", None)] * writes
