"""Scores on a real MLflow server: they are read back unchanged to the last bit, and linked to their models."""

import time
from pathlib import Path

import pytest

from agents.society import Agent
from infra.errors import UserError
from infra.lineage.client import client
from infra.lineage.runs import open_generation
from infra.lineage.scores import log_scores, read_generations
from tests.infra.lineage_samples import EVALUATION, a_job, points, registered, some_scores, there


def test_scores_come_back_as_they_were(tracking: str) -> None:
    job = a_job("scores")
    logged = [some_scores(0), some_scores(1), some_scores(2, pseudo_label_accuracy=None, dropped_label_accuracy=0.5)]
    for scores in [*logged, *reversed(logged)]:  # The second pass logs the same again, as a resumed job does.
        log_scores(job, scores, {})
    open_generation(job, 3)  # This generation has no scores yet, so it is not read.
    read_job, read = read_generations("scores")
    assert (read_job, read) == (job, logged)
    for key in ("accuracy/society", "round-2/critic-1", "seconds/fine tune/critic"):
        assert [step for step, _ in points(job.run_id, key)] == [0, 1, 2]
    assert points(job.run_id, "accuracy/society") == [(s.generation, s.accuracy) for s in logged]
    assert client().get_run(open_generation(job, 1)).info.status == "FINISHED"


def test_other_numbers_for_a_generation_replace_the_old_ones(tracking: str) -> None:
    job = a_job("replaced")
    slow, fast = some_scores(1, seconds={"generate": 9.0}), some_scores(1, seconds={"generate": 2.0})
    for scores in (slow, fast, fast):
        log_scores(job, scores, {})
    assert read_generations("replaced")[1] == [fast]
    assert points(job.run_id, "seconds/generate") == [(1, 9.0), (1, 2.0)]


def test_scores_that_would_not_come_back_are_refused(tracking: str) -> None:
    job = a_job("refused")
    scores = some_scores(1)
    for wrong in (some_scores(1, rounds=scores.rounds[::-1]), some_scores(1, consensus=float("nan"))):
        with pytest.raises(ValueError, match="could not be read back from MLflow unchanged"):
            log_scores(job, wrong, {})
    assert client().get_run(job.run_id).data.metrics == {}


def test_scores_of_an_agent_hang_on_its_logged_model(tracking: str, tiny_adapter: Path) -> None:
    job = a_job("linked")
    scores = some_scores(1)
    version = registered(job, 1, Agent(role="critic", index=2), tiny_adapter)
    for _ in range(2):
        log_scores(job, scores, {"critic-2": version}, EVALUATION)
    model = client().get_logged_model(version.model_id)
    numbers = [scores.rounds[1].agents[2].accuracy, scores.rounds[2].agents[2].accuracy]
    found = {metric.key: metric for metric in there(model.metrics)}
    assert len(there(model.metrics)) == 3
    assert {key: metric.value for key, metric in found.items()} == {
        "round-2/accuracy": numbers[0],
        "round-3/accuracy": numbers[1],
        "accuracy": numbers[1],
    }
    assert (found["accuracy"].step, found["accuracy"].dataset_name) == (1, "evaluation")
    assert client().get_run(version.run_id).data.metrics["accuracy"] == numbers[1]


def test_the_newest_job_of_a_society_is_read_unless_another_is_named(tracking: str) -> None:
    older = a_job("jobs", "job-a")
    time.sleep(0.01)  # Runs are ordered by milliseconds, so the next one must start later.
    newer = a_job("jobs", "job-b")
    log_scores(older, some_scores(0), {})
    with pytest.raises(
        UserError, match=f"job {newer.run_id} of society 'jobs' at {tracking} has no complete generation"
    ):
        read_generations("jobs")
    log_scores(newer, some_scores(0, problems=7), {})
    a_job("jobs", "job-a")  # A resumed job does not become the newest.
    assert read_generations("jobs")[1][0].problems == 7
    assert read_generations("jobs", older.run_id) == (older, [some_scores(0)])


@pytest.mark.parametrize("run_id", ["0" * 32, "no id'", None])
def test_what_is_not_there_is_named(tracking: str, run_id: str | None) -> None:
    a_job("there")
    with pytest.raises(UserError, match=f"(?s)'nowhere'.*{tracking}"):
        read_generations("nowhere")
    with pytest.raises(UserError, match=f"(?s)'there'.*{tracking}"):
        read_generations("there", run_id)
