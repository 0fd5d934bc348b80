"""Nights that follow each other without a pause: one killed, one skipped, one without a server, one that does harm.

MAFT_NIGHTS=30 MAFT_NIGHTS_BASE=embedded pytest tests/flows/test_month.py

is a whole month on the embedded base; by default, there are 12 nights of a small one.
"""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from clock import crash, deploy, live

from infra.errors import UserError
from infra.lineage import champion
from infra.lineage.client import client
from infra.lineage.societies import SocietyVersion, list_societies
from tests.command import Forked
from tests.conftest import Maft

SOCIETY, KEEP = "month", 3
NIGHTS, BASE = int(os.environ.get("MAFT_NIGHTS", "12")), os.environ.get("MAFT_NIGHTS_BASE")
HARMFUL, WORDLESS, KILLED, SKIPPED, NO_SERVER = 3, 5, 6, 7, 8
FIRST = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0) + timedelta(days=1)
CELL = re.compile(r"\[([^]]*)\]\([^)]*\)|\*\*([^*]*)\*\*")


def due(night: int) -> str:
    return (FIRST + timedelta(days=night)).isoformat()


@dataclass
class Month:
    """The home of a society, whose nights a clock starts."""

    environment: dict[str, str]
    config: dict[str, Any]
    home: Path

    def start(self, function: Any, *arguments: str) -> Forked:
        return Forked(self.environment, function, str(self.home), *arguments)

    def call(self, function: Any, *arguments: str) -> None:
        process = self.start(function, *arguments)
        out, err = process.communicate(timeout=1800)
        assert process.returncode == 0, out + err

    def planned(self, *nights: int) -> str:
        return json.dumps([(due(night), self.config | self.changes(night)) for night in nights])

    def changes(self, night: int) -> dict[str, Any]:
        finetune = self.config["finetune"]
        return {
            HARMFUL: {"finetune": finetune | {"learning_rate": 1.0, "epochs": 4}},
            WORDLESS: {"sampling": {"max_new_tokens": 3}},  # No response comes to its answer.
            KILLED: {"finetune": finetune | {"epochs": 1000, "batch_size": 1}},
        }.get(night, {})

    def prefect(self, path: str, **query: Any) -> list[dict[str, Any]]:
        found = httpx.post(f"{self.environment['PREFECT_API_URL']}/{path}/filter", json=query, timeout=60).json()
        assert isinstance(found, list), found
        return found

    def page(self) -> str:
        wanted = {"key": {"any_": [f"{SOCIETY}-nights"]}}
        return str(self.prefect("artifacts", artifacts=wanted, sort="CREATED_DESC")[0]["data"])

    def rows(self) -> list[dict[str, str]]:
        """The rows of the society's page of nights, the oldest first, without markup."""
        page = self.page().replace("\xa0", " ")
        heading, _, *rows = [
            [cell.strip() for cell in CELL.sub(r"\1\2", line).strip("| ").split(" | ")]
            for line in page.splitlines()
            if line.startswith("|")
        ]
        return [dict(zip(heading, row, strict=True)) for row in reversed(rows)]


@pytest.fixture(scope="module")
def month(
    maft: Maft, brief_folder: Path, brief_problems: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Month]:
    """All nights. The database of MLflow is a file: hundreds of requests per night would only take time."""
    config = {
        "society": SOCIETY,
        "start_from": "champion",
        "iterations": 1,
        "agents": 1,
        "base_model": BASE or str(brief_folder),
        "problems": ({} if BASE else {"train": str(brief_problems)}) | {"train_size": 6, "evaluation_size": 24},
        # One agent alone makes the embedded model worse night by night; with small steps, some nights are better.
        "finetune": {"epochs": 1, "min_votes": 1} | ({"learning_rate": 1e-4} if BASE else {}),
        "promotion": {"level": 0.7 if BASE else 0.4, "keep": KEEP},
    }
    home = tmp_path_factory.mktemp("month")
    tracking = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": f"{home}/mlflow/artifacts",
    }
    month = Month(maft.environment | tracking, config, home)
    month.call(deploy, SOCIETY, "0 2 * * *")
    month.call(live, month.planned(*range(KILLED)))
    killed = month.start(live, month.planned(KILLED))
    ours = {"name": {"like_": f"{SOCIETY} · iteration"}}
    learning = {"name": {"like_": "finetune"}, "state": {"type": {"any_": ["RUNNING"]}}}
    while not month.prefect("task_runs", task_runs=learning, flow_runs=ours):
        assert killed.poll() is None
        time.sleep(0.1)
    month.call(live, month.planned(SKIPPED))
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    running = {"state": {"type": {"any_": ["RUNNING"]}}, "tags": {"all_": [f"society:{SOCIETY}"]}}
    (run,) = month.prefect("flow_runs", flow_runs=running)
    month.call(crash, run["id"])
    month.call(live, month.planned(*(night for night in range(SKIPPED + 1, NIGHTS) if night != NO_SERVER)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", tracking["MLFLOW_TRACKING_URI"])
        yield month


def test_the_page_tells_what_became_of_each_night(month: Month) -> None:
    rows = month.rows()
    nights = [f"{FIRST + timedelta(days=night):%d %b %H:%M}" for night in range(NIGHTS)]
    assert [row["night"] for row in rows] == nights
    outcomes = [row["outcome"] for row in rows]
    assert (outcomes[HARMFUL], rows[HARMFUL]["accuracy"]) == ("worse", "0.0")
    assert outcomes[WORDLESS] == "nothing was learned"
    page = month.page().replace("\xa0", " ")
    for night, why in {
        KILLED: "killed: the process was killed",
        SKIPPED: f"skipped: another run of society '{SOCIETY}' is at work: {SOCIETY} · nightly · generation",
        NO_SERVER: "no run: no server was up, or the schedule was off",
    }.items():
        assert f"- {nights[night]}, {why}" in page
    assert page.count("\n- ") == 3
    assert (outcomes[NO_SERVER], rows[NO_SERVER]["seconds"]) == ("no run", "-")
    others = set(range(NIGHTS)) - {KILLED, SKIPPED, NO_SERVER}
    assert {outcomes[night] for night in others} <= {"better", "no better", "worse", "nothing was learned"}
    assert {rows[night]["gen."] for night in set(range(NIGHTS)) - others} == {"-"}
    assert [int(rows[night]["gen."]) for night in sorted(others)] == list(range(1, len(others) + 1))


def test_every_night_starts_from_the_champion_and_only_a_gain_moves_it(month: Month) -> None:
    rows = {row["gen."]: row for row in month.rows()}
    best = "base"
    for version in list_societies(SOCIETY):
        tags = client().get_model_version(SOCIETY, version.version).tags
        assert (tags["parent_version"], tags["gate.champion"]) == (best, best)
        if rows[str(version.generation)]["outcome"] == "better":
            best = version.version
    now = champion.champion(SOCIETY)
    assert (now.version if now else "base") == best != "base", "one night is better"


def has_files(version: SocietyVersion) -> set[bool]:
    """Whether the models of a generation, the society's and its agents', have files."""
    agents = [
        client().get_model_version(f"{SOCIETY}-{agent}", number).source.removeprefix("models:/")
        for agent, number in version.agent_versions.items()
    ]
    return {bool(client().list_logged_model_artifacts(model)) for model in [version.model_id, *agents]}


def test_old_generations_keep_their_records_only(month: Month) -> None:
    versions = list_societies(SOCIETY)
    best = champion.champion(SOCIETY)
    kept = {each.version for each in versions[-KEEP:]} | {best.version if best else ""}
    kept.add(champion.previous_champion(SOCIETY) or "")
    assert {each.version for each in versions if not each.pruned} == kept - {""}
    for version in versions:
        assert has_files(version) == {not version.pruned}
        assert client().get_run(version.run_id).data.metrics["accuracy/society"] >= 0.0
    needed = {agent.adapter for each in versions if not each.pruned for agent in each.society.agents}
    there = {folder.name for folder in (month.home / "artifacts" / "folders").iterdir()}
    assert needed <= there
    # What the killed night left, and what a night younger than a day made, may still be there.
    assert not there & ({agent.adapter for each in versions[:-KEEP] for agent in each.society.agents} - needed)


def test_the_home_stops_growing(month: Month) -> None:
    sizes = [len(list((month.home / "results").iterdir()))]
    assert sizes[0] < 30 * (KEEP + 4)


def test_nothing_starts_from_a_pruned_generation(month: Month) -> None:
    with pytest.raises(UserError, match="version 1 of society 'month' was pruned: its record stays"):
        champion.generation(SOCIETY, "1")
    with pytest.raises(UserError, match="was pruned"):
        champion.promote(SOCIETY, "1", who="a test", why="to see")
