"""The web pages of Prefect and MLflow in a real browser: start a run from its form, and compare its generations.

pytest tests/operation/test_browser.py      # needs Chromium: apt-get install chromium
"""

import os
from pathlib import Path
from typing import Any

import pytest
from chromium import needs_chromium
from mlflow import MlflowClient
from operating import ENDED, Operated
from playwright.sync_api import Locator, Page, TimeoutError, expect

from infra.config.job import Config
from infra.lineage.view import comparison_url

pytestmark = needs_chromium
SMALL = {
    "Society": "web",
    "Agents": "2",
    "Number of training problems": "10",
    "Number of held-out problems": "8",
}
FIRST_SCREEN = ["Society", "Start from", "Iterations", "Base model", "Problems"]
SHOTS = os.environ.get("MAFT_SCREENSHOTS")
"""A folder for pictures of the pages. If it is set, the job is the default one, which takes minutes."""
SOCIETY, ITERATIONS, MADE = ("arith", "2", "generations 1 to 2") if SHOTS else ("web", "1", "generation 1")


def section(page: Page, title: str) -> Locator:
    """The part of the form with this title."""
    label = page.get_by_text(f"{title} (Optional)", exact=True)
    return page.locator(".schema-form-property").filter(has=label).last


def field(page: Page, title: str) -> Locator:
    """The control of the form field with this title."""
    return section(page, title).locator("input, textarea").first


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        page.wait_for_timeout(2500)  # The charts need some time to be drawn.
        page.screenshot(path=Path(SHOTS) / f"{name}.png")


@pytest.fixture(scope="module")
def run(operated: Operated, page: Page) -> dict[str, Any]:
    """Start a run of `improve` from its form, after the form has refused a bad value."""
    prefect = operated.page("").partition("/runs/")[0]
    page.goto(f"{prefect}/deployments")
    page.get_by_role("link", name="improve", exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    page.get_by_text("Start from (Optional)").wait_for()
    shoot(page, "form")
    viewport = page.viewport_size or {"height": 0}
    for title in FIRST_SCREEN:
        box = page.get_by_text(f"{title} (Optional)", exact=True).bounding_box()
        assert box and box["y"] + box["height"] < viewport["height"], f"{title} is on the first screen"
    if not SHOTS:
        # The section in place of the name of a source.
        section(page, "Problems").get_by_text("Problems", exact=True).click()
        for title, value in SMALL.items():
            field(page, title).fill(value)
    field(page, "Iterations").fill("0")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("config.iterations").first.wait_for()
    field(page, "Iterations").fill(ITERATIONS)
    # The link "View run" in the notice is not used: on a busy machine it disappears before it can be pressed.
    started = page.locator("a[href*='/runs/flow-run/']").first
    submit = page.get_by_role("button", name="Submit")
    submit.click()
    try:
        started.wait_for(timeout=10_000)
    except TimeoutError:
        if submit.is_visible():  # After a correction, Prefect may need a second click.
            submit.click()
    started.click()
    page.wait_for_url("**/runs/flow-run/**")
    begun = page.url.rpartition("/")[2].partition("?")[0]
    page.goto("about:blank")  # The page of a run draws all the time, which would slow the run down.
    return operated.until(begun, *ENDED)


def test_a_run_started_from_its_form_completes_and_tells_its_story(
    operated: Operated, page: Page, run: dict[str, Any]
) -> None:
    assert (run["state"]["type"], run["name"]) == ("COMPLETED", f"{SOCIETY} · {MADE}")
    assert Config(**run["parameters"]["config"]).problems.train_size == (Config().problems.train_size if SHOTS else 10)
    assert {f"society:{SOCIETY}", "generation:1"} <= set(run["tags"])
    page.goto(operated.page(run["id"]))
    expect(page.get_by_text("Completed").first).to_be_visible()
    shoot(page, "run")
    page.get_by_text("Artifacts", exact=True).first.click()
    expect(page.get_by_text(f"{SOCIETY}-generations").first).to_be_visible()
    expect(page.get_by_text("mlflow-run").first).to_be_visible()
    with operated.api as api:
        wanted = {"artifacts": {"key": {"any_": [f"{SOCIETY}-generations"]}}}
        artifact = api.post("/artifacts/filter", json=wanted).json()[0]["id"]
    page.goto(operated.page("").replace("/runs/flow-run/", f"/artifacts/artifact/{artifact}"))
    # Both tables: the accuracies, and the responses without an answer or cut short.
    expect(page.get_by_role("columnheader", name="gen.", exact=True)).to_have_count(2)
    picture = page.locator("article img, .markdown-renderer img").first
    picture.wait_for()
    page.wait_for_function("picture => picture.naturalWidth > 500", arg=picture.element_handle())
    shoot(page, "artifact")


def test_a_failed_run_goes_on_from_the_cache_when_it_is_retried_on_its_page(
    operated: Operated, page: Page, run: dict[str, Any]
) -> None:
    (picture,) = operated.home.pictures.glob(f"{SOCIETY}-*[0-9a-f].png")
    picture.unlink()
    picture.mkdir()  # A folder in place of the picture makes the last step fail.
    page.goto("about:blank")
    with operated.api as api:
        wanted = {"parameters": run["parameters"]}
        again = api.post(f"/deployments/{run['deployment_id']}/create_flow_run", json=wanted).json()["id"]
    assert operated.until(again, *ENDED)["state"]["type"] == "FAILED"
    picture.rmdir()
    page.goto(operated.page(again))
    page.get_by_role("button", name="Retry", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    assert operated.until(again, "COMPLETED", "CRASHED", "CANCELLED")["run_count"] == 2
    expect(page.get_by_text("Completed").first).to_be_visible()
    assert operated.run(again)["state"]["type"] == "COMPLETED" and picture.is_file()
    sampled = [each for each in operated.inside(again) if "finetune" in each["name"] or "generate" in each["name"]]
    assert len(sampled) > 4 and {each["state"]["name"] for each in sampled} == {"Cached"}


def test_the_next_nights_are_shown(operated: Operated, page: Page) -> None:
    page.goto(operated.page("").partition("/runs/")[0] + "/deployments")
    page.get_by_role("link", name="nightly", exact=True).first.click()
    page.get_by_text("Upcoming", exact=True).first.click()
    expect(page.get_by_text("Scheduled for").first).to_be_visible()
    shoot(page, "nightly")


def test_two_generations_are_compared_in_mlflow(
    operated: Operated,
    page: Page,
    run: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = MlflowClient(operated.tracking_uri)
    experiment = client.get_experiment_by_name(f"maft/{SOCIETY}")
    assert experiment is not None
    (job,) = client.search_runs([experiment.experiment_id], "tags.`maft.kind` = 'job'")
    page.goto(f"{operated.tracking_uri}/#/experiments/{experiment.experiment_id}/runs/{job.info.run_id}")
    page.get_by_role("button", name="Close").click()  # This closes the assistant.
    expect(page.get_by_text("generation 1").first).to_be_visible()
    shoot(page, "mlflow-job")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", operated.tracking_uri)
    link = comparison_url(experiment.experiment_id)
    assert link in job.data.tags["mlflow.note.content"]
    page.goto(link)
    for generation in (0, 1):
        row = page.get_by_role("row").filter(has_text=f"{SOCIETY} · generation {generation}")
        row.get_by_role("checkbox").first.check(force=True)
    shoot(page, "mlflow-generations")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("Comparing 2 Runs")).to_be_visible()
    expect(page.get_by_text("accuracy/society").first).to_be_attached()
    shoot(page, "mlflow-compare")
    page.goto(f"{link}&compareRunsMode=CHART")
    expect(page.get_by_text("accuracy/society vs accuracy/critics vs accuracy/generators")).to_be_visible()
    shoot(page, "mlflow-charts")


def test_a_registered_generation_leads_to_where_it_comes_from(
    operated: Operated, page: Page, run: dict[str, Any]
) -> None:
    page.goto(f"{operated.tracking_uri}/#/models/{SOCIETY}")
    expect(page.get_by_text(f"The society {SOCIETY}")).to_be_visible()
    shoot(page, "mlflow-model")
    page.goto(f"{operated.tracking_uri}/#/models/{SOCIETY}/versions/1")
    expect(page.get_by_text("base model embedded")).to_be_visible()
    shoot(page, "mlflow-version")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="critic-0 version 1").click()
    expect(opened.value.get_by_text("tuned on").first).to_be_visible()
