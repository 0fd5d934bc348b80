"""Actors of a Ray cluster give the results of this process, whatever their number, and whichever of them are lost."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import psutil
import pytest

from agents.engines.protocol import EngineError, OnProgress
from agents.runners.local import Local
from agents.runners.ray import Ray
from agents.runners.settings import Part
from tests.cluster import works
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return works.one_iteration(Local(threads=1), tmp_path_factory.mktemp("local"))


def actors() -> list[psutil.Process]:
    """The processes of actors on this machine."""
    return [each for each in psutil.process_iter(["name"]) if (each.info["name"] or "").startswith("ray::Actor")]


def during(step: str, act: Callable[[], None]) -> Any:
    """A progress that acts once, as soon as a step of this name has done something."""
    waiting = [act]

    @contextmanager
    def progress(label: str) -> Iterator[OnProgress]:
        def tell(done: int, total: int) -> None:
            if step in label and 0 < done < total and waiting:
                waiting.pop()()

        yield tell

    return progress


def kill_one() -> None:
    os.kill(actors()[0].pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_any_number_of_actors_gives_the_same_results(number: int, expected: dict[str, Any], tmp_path: Path) -> None:
    assert works.one_iteration(Ray(actors=number), tmp_path) == expected


@pytest.mark.parametrize("step", ["generate", "finetune"])
def test_an_actor_that_dies_changes_no_result(
    step: str, expected: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = works.one_iteration(Ray(actors=2), tmp_path, during(step, kill_one))
    assert found == expected
    lost = [line for line in caplog.messages if " was lost: " in line]
    assert len(lost) == 1 and lost[0].endswith("is done again")


def test_results_are_in_order_and_progress_and_warnings_arrive(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[tuple[int, int]] = []
    parts = [Part(number, size=number) for number in range(1, 7)]
    with caplog.at_level(logging.INFO):
        run = works.run_on(Ray(actors=2), tmp_path)
        assert run.runner.do(works.square, run, parts, lambda *state: heard.append(state)) == [1, 4, 9, 16, 25, 36]
    assert heard[-1] == (21, 21) and [done for done, _ in heard] == sorted(done for done, _ in heard)
    assert any(0 < done < 21 for done, _ in heard), "there is progress before the end"
    assert "2 of 2 actors work" in caplog.messages and run.runner.who_works() == "2 of 2 actors"
    assert any(line.startswith("squaring ") for line in caplog.messages), "an actor's warnings are logged here"


def test_the_longest_parts_are_done_first_and_each_actor_takes_the_next(tmp_path: Path) -> None:
    run = works.run_on(Ray(actors=2), tmp_path)
    works.start_all(run, 2)
    by = run.runner.do(works.whose, run, [*[Part(0.2, 1)] * 6, Part(1.5, 9)], lambda *state: None)
    assert len(set(by)) == 2 and by.count(by[-1]) == 1, "one actor does the long part, the other one all the rest"


def test_an_error_of_the_work_is_raised_unchanged_and_the_actors_work_on(tmp_path: Path) -> None:
    run = works.run_on(Ray(actors=2), tmp_path)
    with pytest.raises(ArithmeticError, match=r"^7 is too much$"):
        run.runner.do(works.refuse, run, [Part(7, 1)], lambda *state: None)
    assert run.runner.do(works.square, run, [Part(3, 1)], lambda *state: None) == [9]


def test_a_part_that_kills_its_actors_is_given_up_in_one_line(tmp_path: Path) -> None:
    run = works.run_on(Ray(actors=1), tmp_path)
    with pytest.raises(EngineError, match="runner: part 1 of 1 lost 5 actors") as refused:
        run.runner.do(works.die, run, [Part(0, 1)], lambda *state: None)
    assert "\n" not in str(refused.value) and "lower runner.batch_rows" in str(refused.value)


def test_no_room_for_an_actor_ends_the_wait_in_one_line(tmp_path: Path) -> None:
    run = works.run_on(Ray(actors=1, resources={"unicorn": 1}, wait_seconds=3), tmp_path)
    started = time.monotonic()
    with pytest.raises(EngineError, match=r"no actor for 3 s; 0 of 1 actors work; .* 1 CPU, 1 unicorn; add nodes"):
        run.runner.do(works.square, run, [Part(3, 1)], lambda *state: None)
    assert time.monotonic() - started < 30


KILLED = """
import os, signal, sys
from pathlib import Path
import psutil
from agents.runners.ray import Ray
from agents.runners.settings import Part
from tests.cluster import works

run = works.run_on(Ray(actors=1), Path(sys.argv[1]))
run.runner.do(works.square, run, [Part(3, 1)], lambda *state: None)
# Two small agents of Ray end by themselves within a minute or so.
below = [each for each in psutil.Process().children(recursive=True) if "Agent" not in each.name()]
print(*(each.pid for each in below), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_job_leaves_nothing_behind(tmp_path: Path) -> None:
    def folders() -> set[Path]:
        return set(Path(gettempdir()).glob("maft-actor-*"))

    before = folders()
    stale = Path(gettempdir()) / "maft-actor-999999999-killed"
    stale.mkdir()
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    daemons = [int(pid) for pid in done.stdout.split()]
    assert len(daemons) >= 3, "the head, the raylet and the actor"
    deadline = time.monotonic() + 30
    while any(psutil.pid_exists(pid) for pid in daemons):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert not folders() - before - {stale}, "an actor deletes its adapters when it ends"
    run = works.run_on(Ray(actors=1), tmp_path)
    run.runner.do(works.square, run, [Part(3, 1)], lambda *state: None)
    assert not stale.exists(), "and an actor deletes those of one that was killed"
