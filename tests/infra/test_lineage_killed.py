"""Jobs killed (kill -9) after any write to a real MLflow server and then run again store nothing twice."""

import importlib
import math
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.hosted.adapter import CONFIG, WEIGHTS
from infra.lineage.client import client
from infra.lineage.contents import log_datasets
from infra.lineage.runs import close_job
from infra.lineage.scores import log_scores, read_generations
from tests.command import Forked
from tests.infra.lineage_samples import CRITIC, EVALUATION, a_job, points, registered, some_scores, there


def _open_and_register(k: int, folder: Path) -> None:
    """Open a job and register its agents; every k has its own society."""
    job = a_job(f"killed-{k}")
    log_datasets(job.run_id, [EVALUATION])
    registered(job, 1, CRITIC, folder)


def _score_and_close(k: int, folder: Path) -> None:
    """Log scores and close the job; every k has its own generation."""
    job = a_job("killed")
    log_scores(job, some_scores(k), {CRITIC.name: registered(job, 1, CRITIC, folder)}, EVALUATION)
    close_job(job, "FINISHED")


def kill_at_every_write(step: Callable[[int, Path], None], folder: Path) -> int:
    """Run the step for k = 1, 2, ...: kill it (kill -9) after its k-th write to the server, then run it again.

    A kill after a read leaves the same state as a kill after the write before it. Returns the first k for which the
    step has fewer than k writes. Forks a process for each run, since starting Python and importing mlflow takes long,
    so the caller must have no threads and no connections: see `killed_at_every_write`.
    """
    import requests

    client()  # This imports mlflow, but does not connect.
    send = requests.Session.send
    left = math.inf

    def send_then_die(self: requests.Session, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        nonlocal left
        response = send(self, request, **kwargs)
        left -= request.method != "GET" and not request.path_url.endswith("/search")
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return response

    def run(k: int, kill_after: float) -> int:
        nonlocal left
        left = kill_after
        child = os.fork()
        if child == 0:
            try:
                step(k, folder)
                os._exit(0)
            finally:
                traceback.print_exc()
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    requests.Session.send = send_then_die  # type: ignore[method-assign]
    for k in range(1, 100):
        outcome = run(k, kill_after=k)
        assert outcome in (0, -signal.SIGKILL), f"failed at {k}"
        if outcome == 0:
            return k
        assert run(k, kill_after=math.inf) == 0, f"failed when run again after a kill at {k}"
    raise AssertionError("a step should need fewer than 100 writes")


def killed_at_every_write(step: Callable[[int, Path], None], folder: Path) -> int:
    """Run `kill_at_every_write` in a new process."""
    process = Forked(dict(os.environ), _tell, step.__module__, step.__name__, str(folder))
    out, err = process.communicate()
    assert process.returncode == 0, err
    return int(out)


def _tell(module: str, name: str, folder: str) -> None:
    step = getattr(importlib.import_module(module), name)
    print(kill_at_every_write(step, Path(folder)), end="")


def test_a_registration_killed_at_any_write_leaves_nothing_twice(tracking: str, tiny_adapter: Path) -> None:
    steps = killed_at_every_write(_open_and_register, tiny_adapter)
    assert steps > 12
    for k in range(1, steps + 1):
        job = a_job(f"killed-{k}")
        runs = {run.data.tags["maft.kind"]: run for run in client().search_runs([job.experiment_id])}
        assert len(client().search_runs([job.experiment_id])) == len(runs) == 3
        assert runs["agent"].info.status == "FINISHED"
        assert len(there(runs["agent"].outputs).model_outputs) == 1
        assert len(there(runs["agent"].inputs).dataset_inputs) == 1
        models = client().search_logged_models([job.experiment_id])
        assert [str(model.status) for model in models] == ["READY"]
        assert {file.path for file in client().list_logged_model_artifacts(models[0].model_id)} == {
            CONFIG,
            WEIGHTS,
            "README.md",
        }
        versions = client().search_model_versions(f"name = 'killed-{k}-critic-0'")
        assert [version.source for version in versions] == [f"models:/{models[0].model_id}"]


def test_scores_killed_at_any_write_leave_nothing_twice(tracking: str, tiny_adapter: Path) -> None:
    steps = killed_at_every_write(_score_and_close, tiny_adapter)
    assert steps > 6
    job, read = read_generations("killed")
    assert read == [some_scores(k) for k in range(1, steps + 1)]
    assert points(job.run_id, "accuracy/society") == [(scores.generation, scores.accuracy) for scores in read]
    runs = client().search_runs([job.experiment_id])
    assert len(runs) == 1 + steps + 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    (model,) = client().search_logged_models([job.experiment_id])
    assert len(there(model.metrics)) == 3 * steps
