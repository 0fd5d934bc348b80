"""A whole job whose responses are all cut before their answer says so wherever its results are shown."""

import httpx
import pytest
from mlflow import MlflowClient

from evaluation.reporting.advice import generation_warnings
from evaluation.scores import GenerationScores
from evaluation.statistics.mcnemar import compare
from tasks.lineage.promote import judge
from tests.conftest import Maft

SHARES = {"unanswered_share": 1.0, "cut_share": 1.0}
METRICS = ["responses/unanswered", "responses/cut", "responses/round-2 critic-1 cut"]


@pytest.fixture(scope="module")
def job(brief: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A response of the brief base has eight tokens, the answer at the end."""
    settings = ["society=failed", "iterations=1", "sampling.max_new_tokens=3"]
    own = [part for value in settings for part in ("--set", value)]
    return ["run", *brief, *own, "--home", str(tmp_path_factory.mktemp("home"))]


@pytest.fixture(scope="module")
def report(maft: Maft, job: list[str]) -> dict:
    return maft.json(*job)


def test_the_scores_have_the_shares(report: dict) -> None:
    base, first = report["generations"]
    for generation in (base, first):
        assert {name: generation[name] for name in SHARES} == SHARES
        agents = [agent for one in generation["rounds"] for agent in one["agents"]]
        assert len(agents) == 4 and all({name: agent[name] for name in SHARES} == SHARES for agent in agents)
    assert base["training_responses"] == dict.fromkeys(SHARES)
    assert first["training_responses"] == SHARES


def test_the_warnings_name_what_to_change(report: dict) -> None:
    cut, unanswered, nothing = report["warnings"]
    assert "100 % of the responses of generation 0" in cut
    assert "sampling.max_new_tokens=3 " in cut and cut.endswith("such as 6")
    assert "have no answer" in unanswered
    assert "generation 1 learned nothing" in nothing and "0 of 10 training problems" in nothing
    assert report["verdict"]["text"] == (
        "nothing was learned: generation 1 has the same adapters as generation 0, so only the sampling differs: "
        "generation 1 was measured at 0.0 %, generation 0 at 0.0 %"
    )
    assert report["verdict"]["comparison"]["verdict"] == "tie"


def test_the_terminal_shows_table_warnings_and_verdict_in_80_columns(maft: Maft, job: list[str], report: dict) -> None:
    again = maft(*job)
    shown = again.stdout
    table = [line.split() for line in shown.splitlines() if line.split()[:1] in (["0"], ["1"])]
    assert table[-2:] == [["0", "100.0", "100.0", "-", "-", "-"], ["1", "100.0", "100.0", "100.0", "100.0", "none"]]
    words = " ".join(shown.split())
    assert all(f"Warning {' '.join(warning.split())}" in words for warning in report["warnings"])
    assert report["verdict"]["text"] in words
    assert "WARNING" not in again.stderr.replace("maft.engines", ""), "each warning once"
    text = [line for line in shown.splitlines() if not line.startswith(("Picture", "Prefect", "MLflow", "Compare"))]
    assert max(map(len, text)) <= 80


@pytest.mark.parametrize(("same", "verdict"), [(False, "gain"), (True, "tie")])
def test_a_candidate_that_learned_nothing_cannot_win_by_chance(same: bool, verdict: str) -> None:
    comparison, text = judge(compare([True] * 20, [False] * 20, 0.05), "generation 1", "generation 0", same=same)
    assert comparison.verdict == verdict
    if same:
        assert text.endswith("generation 1 was measured at 100.0 %, generation 0 at 0.0 %")
    else:
        assert text.startswith("generation 1 beats generation 0")


def test_compare_and_evaluate_warn_too(maft: Maft, job: list[str], report: dict) -> None:
    compared = maft.json("compare", "failed", *job[-2:])
    assert compared["generations"] == report["generations"] and compared["warnings"] == report["warnings"]
    evaluated = maft.json("evaluate", "failed", "--set", "size=3", *job[-2:])
    scores = GenerationScores.model_validate(evaluated["scores"])
    assert evaluated["warnings"] == generation_warnings([scores], 3) != []


def test_mlflow_has_the_metrics_and_the_warnings(maft: Maft, report: dict) -> None:
    client = MlflowClient(maft.environment["MLFLOW_TRACKING_URI"])
    run = client.get_run(report["mlflow"]["run_id"])
    assert {run.data.metrics[name] for name in [*METRICS, "responses/training cut"]} == {1.0}
    runs = client.search_runs([run.info.experiment_id], "tags.`maft.kind` = 'generation'")
    assert len(runs) == 2
    for generation in runs:
        assert {generation.data.metrics[name] for name in METRICS} == {1.0}
        assert "**Warning:** 100 % of the responses" in generation.data.tags["mlflow.note.content"]
    assert "**Warning:** 100 % of the responses" in run.data.tags["mlflow.note.content"]


def test_prefect_has_the_warnings_in_the_artifact_and_in_the_log(maft: Maft, report: dict) -> None:
    api = maft.environment["PREFECT_API_URL"]
    own = {"flow_runs": {"id": {"any_": [report["prefect"]["flow_run_id"]]}}}
    artifacts = httpx.post(f"{api}/artifacts/filter", json=own, timeout=60).raise_for_status().json()
    (page,) = (each["data"] for each in artifacts if each["key"] == "failed-generations")
    assert page.startswith("**nothing was learned") and page.count("**Warning:**") == 3
    assert "| 1 | 100.0 | 100.0 | 100.0 | 100.0 | none |" in page
    logs = {"logs": {"flow_run_id": {"any_": [report["prefect"]["flow_run_id"]]}, "level": {"ge_": 30}}}
    messages = [log["message"] for log in httpx.post(f"{api}/logs/filter", json=logs, timeout=60).json()]
    assert sum("of the responses of generation 0" in message for message in messages) == 2


def test_an_unknown_society_is_not_measured(maft: Maft, job: list[str], report: dict) -> None:
    refused = maft("evaluate", "faild", *job[-2:], status=2)
    (line,) = (line for line in refused.stderr.splitlines() if line.startswith("maft: "))
    assert line.startswith("maft: society 'faild' has no job at http") and line.endswith("; did you mean 'failed'?")
    client = MlflowClient(maft.environment["MLFLOW_TRACKING_URI"])
    assert client.get_experiment_by_name("maft/faild") is None
