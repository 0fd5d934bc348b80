"""The web pages of Prefect and MLflow in a real browser: start a run from its form, and compare its generations.

The first run is started in V1 of Prefect's interface, the second one in V2.

pytest tests/operation/test_browser.py      # needs Chromium: apt-get install chromium
"""

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from chromium import SECONDS, needs_chromium
from mlflow import MlflowClient
from operating import ENDED, TIMEZONE, Operated, wait_for
from pages import SHOTS, field, open_form, section, shoot, submit
from playwright.sync_api import Locator, Page, expect

from infra.config.job import Config
from infra.lineage.view import comparison_url
from infra.operation.flow_run import completed

pytestmark = needs_chromium
SMALL = {
    "Society": "web",
    "Agents": "2",
    "Number of training problems": "10",
    "Number of held-out problems": "8",
}
BETTER = {
    **SMALL,
    "Number of training problems": "150",
    "Number of held-out problems": "40",
    "Significance level": "0.9",
}
"""Settings of the second run, whose generation answers more held-out problems than the base."""
FIRST_SCREEN = ["Society", "Start from", "Iterations", "Base model", "Problems"]
SOCIETY, ITERATIONS, MADE = ("arith", "2", "generations 1 to 2") if SHOTS else ("web", "1", "generation 1")
NEWEST = int(ITERATIONS) + 1
"""The generation of the second run."""


@pytest.fixture(scope="module")
def prefect(operated: Operated) -> str:
    """The address of Prefect's pages."""
    return operated.page("").partition("/runs/")[0]


@pytest.fixture(scope="module")
def run(operated: Operated, page: Page, prefect: str) -> dict[str, Any]:
    """Start a run of `improve` from its form, after the form has refused a bad value."""
    open_form(page, f"{prefect}/deployments")
    shoot(page, "form-v1")
    fits_one_screen(page)
    if not SHOTS:
        # The section in place of the name of a source.
        section(page, "Problems").get_by_text("Problems", exact=True).click()
        for title, value in SMALL.items():
            field(page, title).fill(value)
    field(page, "Iterations").fill("0")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("config.iterations").first.wait_for()
    field(page, "Iterations").fill(ITERATIONS)
    begun = started(operated, page)
    page.goto("about:blank")  # The page of a run draws all the time, which would slow the run down.
    return operated.until(begun, *ENDED)


def started(operated: Operated, page: Page) -> str:
    """Submit the form, and return the id of the run that it has started."""
    known = {each["id"] for each in operated.runs("improve")}
    submit(page)
    new = wait_for(lambda: [each["id"] for each in operated.runs("improve") if each["id"] not in known], "run")
    return str(new[0])


def fits_one_screen(page: Page) -> None:
    viewport = page.viewport_size or {"height": 0}
    for title in FIRST_SCREEN:
        box = page.get_by_text(f"{title} (Optional)", exact=True).bounding_box()
        assert box and box["y"] + box["height"] < viewport["height"], f"{title} is on the first screen"


def test_a_run_started_from_its_form_completes_and_tells_its_story(
    operated: Operated, page: Page, run: dict[str, Any]
) -> None:
    assert (run["state"]["type"], run["name"]) == ("COMPLETED", f"{SOCIETY} · {MADE}")
    assert Config(**run["parameters"]["config"]).problems.train_size == (Config().problems.train_size if SHOTS else 10)
    assert {f"society:{SOCIETY}", "generation:1"} <= set(run["tags"])
    page.goto(operated.page(run["id"]))
    expect(page.get_by_text("Completed").first).to_be_visible()
    shoot(page, "run-v1")
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


@pytest.fixture(scope="module")
def second(operated: Operated, page: Page, prefect: str, run: dict[str, Any]) -> dict[str, Any]:
    """Start one more iteration in V2 of the interface, after two bad values, and watch it."""
    open_form(page, f"{prefect}/v2/deployments")
    shoot(page, "form")
    fits_one_screen(page)
    if not SHOTS:
        for title in ("Problems", "Promotion"):
            page.get_by_role("tab", name=title, exact=True).click()
        for title, value in BETTER.items():
            page.get_by_label(f"{title} (Optional)").fill(value)
    start, iterations = (page.get_by_label(f"{title} (Optional)") for title in ("Start from", "Iterations"))
    start.fill("newest")
    iterations.fill("0")
    page.get_by_role("button", name="Submit").click()
    assert "greater than or equal to 1" in iterations.evaluate("field => field.validationMessage")
    iterations.fill("1")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Validation failed for field 'config.start_from'")).to_be_visible()
    start.fill("candidate")
    begun = started(operated, page)
    wait_for(lambda: operated.artifacts(begun, "progress"), "step that takes long enough to show progress")
    page.goto(f"{prefect}/v2/runs/flow-run/{begun}")
    page.get_by_role("tab", name="Artifacts").click()
    shown = page.locator("main a[href*='/artifacts/artifact/']").filter(has_text="PROGRESS")
    expect(shown).to_contain_text(re.compile("iteration|evaluate generation"))
    expect(page.get_by_text("Running", exact=True).first).to_be_visible()
    page.goto("about:blank")
    return operated.until(begun, *ENDED)


def test_a_second_run_is_started_and_watched_in_the_other_interface_and_promoted(
    operated: Operated, page: Page, prefect: str, second: dict[str, Any]
) -> None:
    assert (second["state"]["type"], second["name"]) == ("COMPLETED", f"{SOCIETY} · generation {NEWEST}")
    page.goto(f"{prefect}/v2/runs/flow-run/{second['id']}")
    expect(page.get_by_text("Completed").first).to_be_visible()
    shoot(page, "run")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text(f"{SOCIETY}-generations").first.click()
    page.locator("main a[href*='/artifacts/artifact/']").first.click()  # The newest of those with this name.
    expect(page.get_by_text(f"generation {NEWEST} beats generation").first).to_be_visible()
    picture = page.locator("main img").first
    page.wait_for_function("picture => picture.naturalWidth > 500", arg=picture.element_handle())
    page.goto(f"{operated.tracking_uri}/#/models/{SOCIETY}")
    champion = page.get_by_role("row").filter(has_text=f"Version {NEWEST}")
    expect(champion.get_by_text("@ champion")).to_be_visible()


def test_the_nightly_is_paused_and_moved(operated: Operated, page: Page, prefect: str) -> None:
    def deployment() -> dict[str, Any]:
        with operated.api as api:
            found: dict[str, Any] = api.get("/deployments/name/nightly/nightly").json()
        return found

    def set_active(active: bool) -> None:
        switch = page.get_by_role("switch", name="toggle At 02:00 AM")
        switch.click()
        try:
            expect(switch).to_be_checked(checked=active, timeout=10_000)
        except AssertionError:  # The page did not hear the click, or its request failed, on a busy machine.
            switch.click()
        wait_for(lambda: deployment()["schedules"][0]["active"] is active, f"schedule with active={active}")

    def move() -> None:
        page.get_by_role("button", name="Open menu").last.click()  # The menu of the schedule.
        page.get_by_role("menuitem", name="Edit").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_label("Value")).to_have_value("0 2 * * *")
        dialog.get_by_label("Value").fill("30 3 * * *")
        expect(dialog.get_by_text("At 03:30 AM")).to_be_visible()
        dialog.get_by_role("button", name="Save").click()

    page.goto(f"{prefect}/v2/deployments")
    page.get_by_role("link", name="nightly", exact=True).first.click()
    page.get_by_text("Upcoming", exact=True).first.click()
    page.locator("main a[href*='/runs/flow-run/']").first.wait_for()
    shoot(page, "nightly")
    set_active(False)
    set_active(True)
    move()
    try:
        expect(page.get_by_role("switch", name="toggle At 03:30 AM")).to_be_checked(timeout=20_000)
    except AssertionError:  # The page's request failed, on a busy machine.
        move()
        expect(page.get_by_role("switch", name="toggle At 03:30 AM")).to_be_checked()
    moved = deployment()
    (schedule,) = moved["schedules"]
    assert (schedule["active"], schedule["schedule"]["cron"]) == (True, "30 3 * * *")
    config = completed(schedule["parameters"], moved["parameters"])["config"]
    assert Config.model_validate(config) == Config(start_from="champion", iterations=1)
    page.reload()
    page.get_by_text("Upcoming", exact=True).first.click()
    local = datetime.now(ZoneInfo(TIMEZONE)).replace(hour=3, minute=30)
    expect(page.get_by_text(f"{local.astimezone(UTC):%H:%M}:00 AM").first).to_be_visible()
    with operated.api as api:
        before = {"schedule": schedule["schedule"] | {"cron": "0 2 * * *"}, "parameters": {}}
        api.patch(f"/deployments/{moved['id']}/schedules/{schedule['id']}", json=before).raise_for_status()


def test_generations_are_compared_in_mlflow(
    operated: Operated,
    page: Page,
    second: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = MlflowClient(operated.tracking_uri)
    experiment = client.get_experiment_by_name(f"maft/{SOCIETY}")
    assert experiment is not None
    jobs = client.search_runs([experiment.experiment_id], "tags.`maft.kind` = 'job'")
    assert len(jobs) == 2
    page.goto(f"{operated.tracking_uri}/#/experiments/{experiment.experiment_id}/runs/{jobs[0].info.run_id}")
    page.get_by_role("button", name="Close").last.click()  # This closes the assistant.
    shoot(page, "mlflow-job")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", operated.tracking_uri)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="All generations, to compare").click()
    assert opened.value.url.startswith(comparison_url(experiment.experiment_id))
    opened.value.close()
    page.goto(comparison_url(experiment.experiment_id))
    row = page.get_by_role("row").filter(has_text=f"{SOCIETY} · generation {NEWEST}")
    expect(row.first).to_be_visible()
    shoot(page, "mlflow-generations", comparison_url(experiment.experiment_id))
    for generation in (0, NEWEST):
        row = page.get_by_role("row").filter(has_text=f"{SOCIETY} · generation {generation}")
        row.get_by_role("checkbox").first.check(force=True)
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("Comparing 2 Runs")).to_be_visible()
    expect(page.get_by_text("accuracy/society").first).to_be_attached()
    shoot(page, "mlflow-compare")
    page.goto(comparison_url(experiment.experiment_id, charts=True))
    expect(page.get_by_text("accuracy/society vs accuracy/critics vs accuracy/generators")).to_be_visible()
    shoot(page, "mlflow-charts", comparison_url(experiment.experiment_id, charts=True))


def test_a_registered_generation_leads_to_its_parent_its_data_and_its_flow_run(
    operated: Operated, page: Page, second: dict[str, Any]
) -> None:
    def opened(link: Locator) -> Page:
        with page.context.expect_page() as new:
            link.click()
        new.value.set_default_timeout(SECONDS)
        return new.value

    page.goto(f"{operated.tracking_uri}/#/models/{SOCIETY}")
    expect(page.get_by_text(f"The society {SOCIETY}")).to_be_visible()
    shoot(page, "mlflow-model")
    page.goto(f"{operated.tracking_uri}/#/models/{SOCIETY}/versions/{NEWEST}")
    expect(page.get_by_text("base model embedded")).to_be_visible()
    shoot(page, "mlflow-version")
    critic = opened(page.get_by_role("link", name=f"critic-0 version {NEWEST}"))
    expect(critic.get_by_text("tuned on").first).to_be_visible()
    parent = opened(critic.get_by_role("link", name=f"version {NEWEST - 1}", exact=True))
    expect(parent.get_by_text(f"Generation {NEWEST - 1}").first).to_be_visible()
    critic.get_by_role("link", name="critic-0", exact=True).click()
    critic.get_by_role("button", name="critic-0 (").click()
    expect(critic.get_by_text("num rows")).to_be_visible()
    critic.keyboard.press("Escape")
    critic.get_by_role("link", name=f"{SOCIETY} · generation {NEWEST}", exact=True).click()
    critic.get_by_role("link", name=f"{SOCIETY} · generation {NEWEST} · seed 1").click()
    flow_run = opened(critic.get_by_role("link", name="The flow run in Prefect"))
    assert flow_run.url.endswith(second["id"])
    expect(flow_run.get_by_text("Completed").first).to_be_visible()
    for each in (critic, parent, flow_run):
        each.close()
