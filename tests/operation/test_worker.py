"""Runs whose worker is killed with kill -9 in mid-run, or stopped by `down`.

pytest tests/operation      # two and a half minutes, most of it waiting
"""

from pathlib import Path

from operating import ENDED, Killed, Operated, wait_for

from infra.operation import processes, servers
from infra.operation.flow_run import WAITS
from infra.operation.servers import WORKER


def test_another_run_of_a_society_at_work_is_refused(operated: Operated, killed: Killed) -> None:
    run = operated.run(killed.run["refused"])
    assert run["state"]["type"] == "CANCELLED" and "'held' is at work" in run["state"]["message"]
    assert killed.starts("refused") == []


def test_a_run_whose_worker_was_killed_ends_completed(operated: Operated, killed: Killed) -> None:
    run = operated.until(killed.run["plain"], "COMPLETED", "FAILED", "CANCELLED")
    assert run["state"]["type"] == "COMPLETED" and run["run_count"] == 2
    assert len(killed.starts("plain")) == 2
    assert sorted(each["state"]["type"] for each in operated.inside(run["id"])) == ["COMPLETED"] * 3 + ["CRASHED"] * 2
    assert operated.supervisor().pid == killed.supervisor
    assert all(map(processes.has_ended, killed.family))


def test_a_killed_run_takes_its_society_again(operated: Operated, killed: Killed) -> None:
    run = operated.until(killed.run["holder"], "COMPLETED", "FAILED", "CANCELLED")
    assert run["state"]["type"] == "COMPLETED" and run["run_count"] == 2
    assert WAITS not in run["name"]
    # The run does not wait until the lease of its first attempt has ended.
    assert "waiting: another run" not in operated.log(run["id"])


def test_a_society_has_one_run_at_a_time(operated: Operated, killed: Killed) -> None:
    runs = [operated.until(killed.run[name], *ENDED) for name in ("first", "second")]
    assert [run["state"]["type"] for run in runs] == ["COMPLETED"] * 2 and [run["run_count"] for run in runs] == [1, 1]
    assert not any(WAITS in run["name"] for run in runs), "the name of a run no longer says that it waits"
    assert ["waiting: another run" in operated.log(run["id"]) for run in runs].count(True) == 1
    spans = []
    for run in runs:
        (rest,) = [each for each in operated.inside(run["id"]) if each["name"] == "rest"]
        spans.append((rest["start_time"], rest["end_time"]))
    (_, end), (start, _) = sorted(spans)
    assert end < start


def test_a_killed_run_that_nobody_supervised_does_not_stay_running(operated: Operated, killed: Killed) -> None:
    run = operated.until(killed.run["by hand"], *ENDED)
    assert run["state"]["type"] == "CRASHED" and "heartbeat" in run["state"]["message"]
    (subflow,) = [each for each in operated.inside(run["id"]) if "parent_task_run_id" in each]
    assert operated.until(subflow["id"], *ENDED)["state"]["type"] == "CRASHED"


def test_down_leaves_a_run_waiting_and_up_lets_it_go_on(operated: Operated, killed: Killed, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    run = operated.nap(journal, 600, 0)
    wait_for(journal.exists, "start")
    family = processes.members(operated.home, WORKER, processes.read_records(operated.home)[WORKER])
    assert servers.down(operated.home) == [WORKER, "prefect", "mlflow"]
    # The processes are the worker, the run's process and its child; one of them may have started a short-lived fourth.
    assert len(family) >= 3 and all(map(processes.has_ended, family))
    operated.operate()
    found = operated.until(run, "COMPLETED", "FAILED", "CRASHED")
    assert found["state"]["type"] == "COMPLETED" and found["run_count"] == 2
    assert len(journal.read_text().split()) == 2
