"""MLflow's pages in a real browser: one link compares the generations of all jobs, and versions tell how they compare.

pytest tests/operation/test_compare_page.py      # needs Chromium: apt-get install chromium
"""

import pytest
from chromium import needs_chromium
from mlflow import MlflowClient
from playwright.sync_api import Page, expect

from tests.conftest import Maft

pytestmark = needs_chromium
SOCIETY = "compared"


@pytest.fixture(scope="module")
def jobs(maft: Maft, brief: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """A job that makes generations 1 and 2, and one with another seed that makes generation 3 from generation 2."""
    home = ["--home", str(tmp_path_factory.mktemp("home"))]
    settings = [*brief, "--set", f"society={SOCIETY}", "--set", "finetune.min_votes=1"]
    first = maft.json("run", *settings, "--set", "iterations=2", *home)
    more = ["--set", "iterations=1", "--set", "start_from=2", "--set", "seed=2"]
    return [first, maft.json("run", *settings, *more, *home)]


@pytest.fixture(scope="module")
def link(maft: Maft, jobs: list[dict]) -> str:
    """The link that `maft status` prints, which is also on the run's page."""
    told = maft.json("status", "--society", SOCIETY, "--home", jobs[0]["home"])["compare"]
    client = MlflowClient(maft.environment["MLFLOW_TRACKING_URI"])
    note = client.get_run(jobs[1]["mlflow"]["run_id"]).data.tags["mlflow.note.content"]
    assert f"[All generations, to compare]({told})" in note
    return str(told)


def cells(page: Page, column: str) -> list[tuple[str, str]]:
    """The name of each run and its value in a column, from the top of the table."""
    found: list[tuple[str, str]] = []
    names = page.locator(".ag-pinned-left-cols-container .ag-row:not(:has-text('Group:'))")
    names.last.wait_for()
    order = sorted(names.all(), key=lambda row: int(row.get_attribute("row-index") or 0))
    for row in order:
        own = page.locator(f".ag-center-cols-container [row-id='{row.get_attribute('row-id')}']")
        cell = own.locator(f"[col-id*='{column}']").inner_text()
        found.append((row.get_by_role("link").first.inner_text(), cell))
    return found


def test_one_link_shows_the_accuracy_of_each_generation_newest_first(page: Page, link: str, jobs: list[dict]) -> None:
    page.goto(link)
    page.get_by_role("button", name="Close").last.click()  # This closes the assistant.
    expect(page.get_by_text("All generations, to compare")).to_be_visible()
    first, second = (job["generations"] for job in jobs)
    wanted = [
        (f"{SOCIETY} · generation 3", second[1]),
        (f"{SOCIETY} · generation 2, measured again", second[0]),
        *((f"{SOCIETY} · generation {scores['generation']}", scores) for scores in reversed(first)),
    ]
    # The table shows long fractions cut.
    for column, field in (("accuracy/society", "accuracy"), ("agreement/consensus", "consensus")):
        shown = cells(page, column)
        assert [name for name, _ in shown] == [name for name, _ in wanted]
        assert [float(value) for _, value in shown] == pytest.approx([scores[field] for _, scores in wanted])
    page.locator(".ag-body-horizontal-scroll-viewport").evaluate("bar => bar.scrollLeft = 450")
    assert cells(page, "verdict")[0][1] == jobs[1]["verdict"]["comparison"]["verdict"]
    assert [value for _, value in cells(page, "alias")] == ["candidate", "-", "-", "-", "-"]


def test_the_charts_show_roles_and_agents_over_generations(page: Page, link: str, jobs: list[dict]) -> None:
    page.goto("about:blank")
    page.goto(f"{link}&compareRunsMode=CHART")
    expect(page.get_by_text("accuracy/society vs accuracy/critics vs accuracy/generators")).to_be_visible()
    for role in ("society", "critics", "generators"):
        expect(page.get_by_text(f"lineage 1, seed 1 (accuracy/{role})").first).to_be_visible()
    plot = page.locator(".js-plotly-plot").first
    plot.wait_for()
    drawn = plot.evaluate(
        "plot => plot.data.filter(line => line.metricKey).map(line => [line.metricKey, line.x, line.y])"
    )
    lines = {key: dict(zip(x, y, strict=True)) for key, x, y in drawn}
    first, second = ([scores["accuracy"] for scores in job["generations"]] for job in jobs)
    # Generation 2 was measured twice, on different problems.
    wanted = {0: first[0], 1: first[1], 2: (first[2] + second[0]) / 2, 3: second[1]}
    assert lines["accuracy/society"] == pytest.approx(wanted)
    assert set(lines) == {"accuracy/society", "accuracy/critics", "accuracy/generators"}
    page.get_by_text("Each agent, by round").scroll_into_view_if_needed()  # Charts are drawn when they are reached.
    critics = page.get_by_text("round-2/critic-0 vs round-2/critic-1")
    plot.hover()
    for _ in range(40):
        if critics.count():
            break
        page.mouse.wheel(0, 300)
        page.wait_for_timeout(300)
    expect(critics).to_be_visible()


def test_two_generations_compare_by_what_differs(page: Page, link: str, jobs: list[dict]) -> None:
    page.goto("about:blank")
    page.goto(link)
    for generation in (1, 3):
        row = page.get_by_role("row").filter(has_text=f"{SOCIETY} · generation {generation}")
        row.get_by_role("checkbox").first.check(force=True)
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("Comparing 2 Runs")).to_be_visible()
    for param in ("generation", "parent", "portion", "examples.critics", "seed"):
        expect(page.get_by_text(param, exact=True).first).to_be_attached()
    expect(page.get_by_text("finetune.alpha")).to_have_count(0)


def test_a_version_tells_its_verdict_and_leads_to_the_comparison_with_its_parent(
    page: Page, maft: Maft, jobs: list[dict]
) -> None:
    models = f"{maft.environment['MLFLOW_TRACKING_URI']}/#/models/{SOCIETY}"
    page.goto(f"{models}/versions/3")
    expect(page.get_by_text(jobs[1]["verdict"]["text"]).first).to_be_visible()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="this generation and its parent, on the same problems").click()
    expect(opened.value.get_by_text("Comparing 2 Runs")).to_be_visible()
    for name in ("generation 3", "generation 2, measured again"):
        expect(opened.value.get_by_text(f"{SOCIETY} · {name}", exact=True).first).to_be_attached()
    opened.value.close()
    critics = [scores["rounds"][1]["agents"][0] for scores in jobs[1]["generations"]]
    assert all((critic["role"], critic["index"]) == ("critic", 0) for critic in critics)
    before, after = (f"{100 * critic['accuracy']:.1f} %" for critic in critics)
    page.goto(f"{models}-critic-0/versions/3")
    expect(page.get_by_text(f"{after} in round 2, its parent {before}")).to_be_visible()
    page.goto(f"{models}-critic-0")
    expect(page.get_by_role("row").filter(has_text=f"{after} ({before})").first).to_be_visible()
