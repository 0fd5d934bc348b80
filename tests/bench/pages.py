"""Measures MLflow's pages in Chromium when a society has many generations and the server has many societies.

python -m tests.bench.pages              200 generations of one society, and 9 societies of two
python -m tests.bench.pages 50 3         50 generations, and 2 societies
make bench-pages                         the first of these

The generations are made up and written into the database of a new home without a server, by the code that registers
those of a job. A page is measured from its call until what it is for is there: the newest generation in the table, a
drawn chart, a description. Each time is that of a new page in a browser that has the scripts in its cache.
"""

import hashlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measure import REPEATS
from tests.conftest import free_port

AGENTS, GOAL_SECONDS, LIMIT_SECONDS = 3, 3.0, 120


def fill(home: Path, society: str, generations: int) -> None:
    """Register generations of a society, each made from the one before, as a nightly job each but for their traces."""
    from agents.engines.base_model import Base, Bases
    from agents.society import Society
    from infra.lineage.agents import log_accuracy
    from infra.lineage.client import client
    from infra.lineage.contents import log_params
    from infra.lineage.differences import join_lineage, log_differences
    from infra.lineage.runs import close_job, experiment_name, open_generation, open_job
    from infra.lineage.scores import log_scores
    from infra.lineage.societies import register_society
    from infra.lineage.view import update_view
    from tests.infra.lineage_samples import CONFIG, registered, some_scores

    model = home / "model"
    model.mkdir(exist_ok=True)
    (model / "MLmodel").write_text("flavors: {}\n", "utf-8")
    # Without a server, the files of models go into a folder.
    client().create_experiment(experiment_name(society), artifact_location=(home / "files").as_uri())
    bases = Bases(each=(Base(name="embedded", sha256="b" * 64, dtype="float32"),))
    parent, before = None, {}
    for generation in range(1, generations + 1):
        name = f"{society} · generation {generation} · seed 1"
        job = open_job(society, f"{society}-{generation}", name, {**CONFIG, "seed": 1}, {}, generation)
        join_lineage(job, parent.run_id if parent else None, 1)
        update_view(job.experiment_id, agents=AGENTS, rounds=3)
        log_scores(job, some_scores(generation - 1, AGENTS), {})
        log_differences(job, open_generation(job, generation - 1))
        agents = Society.untuned(AGENTS)
        made = {one.name: registered(job, generation, one, None, before.get(one.name)) for one in agents.agents}
        scores = some_scores(generation, AGENTS)
        log_scores(job, scores, made)
        run = open_generation(job, generation)
        log_params(run, {"generation": generation, "parent": generation - 1, "portion": generation})
        log_differences(job, run)
        for one in agents.agents:
            log_accuracy(job, one, made[one.name], scores, generation - 1)
        adapter = hashlib.sha256(name.encode()).hexdigest()
        tuned = [one.model_copy(update={"adapter": adapter}) for one in agents.generators]
        parent = register_society(
            job,
            Society(generation=generation, generators=tuned, critics=agents.critics),
            made,
            parent_version=parent.version if parent else None,
            bases=bases,
            model_folder=model,
            description=f"{100 * scores.accuracy:.1f} % on {scores.problems} held-out problems",
        )
        before = made
        close_job(job, "FINISHED")


def rows(generations: int, societies: int) -> Iterator[tuple[str, str, str]]:
    """The rows: a page, the median and range of its times in seconds, and the goal."""
    from playwright.sync_api import sync_playwright

    from infra.home.home import Home
    from infra.lineage.runs import experiment_name
    from infra.lineage.view import comparison_url
    from infra.operation import servers

    with tempfile.TemporaryDirectory() as folder:
        home = Home.open(Path(folder) / "home")
        home.mlflow.mkdir(parents=True, exist_ok=True)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{home.mlflow / 'mlflow.db'}"
        started = time.monotonic()
        for number in range(societies):
            fill(Path(folder), f"society-{number}", generations if number == 0 else 2)
        yield f"(registering {generations + 2 * (societies - 1)} generations)", f"{time.monotonic() - started:.0f}", ""
        os.environ.pop("MLFLOW_TRACKING_URI")
        os.environ |= {"MAFT_PREFECT_PORT": str(free_port()), "MAFT_MLFLOW_PORT": str(free_port())}
        try:
            os.environ["MLFLOW_TRACKING_URI"] = uri = servers.up(home).mlflow_tracking_uri
            from infra.lineage.client import client

            experiment = client().get_experiment_by_name(experiment_name("society-0"))
            assert experiment is not None
            link, newest = comparison_url(experiment.experiment_id), f"society-0 · generation {generations}"
            pages = {
                "the comparison, its table": (link, f"text={newest}"),
                "the comparison, its charts": (f"{link}&compareRunsMode=CHART", ".js-plotly-plot .scatterlayer path"),
                "the registered models": (f"{uri}/#/models", "text=society-0"),
                "the society's model": (f"{uri}/#/models/society-0", f"text=Version {generations}"),
                "an agent's model": (f"{uri}/#/models/society-0-critic-0", f"text=Version {generations}"),
                "a version of the society": (f"{uri}/#/models/society-0/versions/{generations}", "text=held-out"),
            }
            with sync_playwright() as playwright:
                chromium = shutil.which("chromium") or shutil.which("google-chrome")
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
                for name, (url, wanted) in pages.items():
                    times = []
                    for _ in range(REPEATS + 1):
                        page = context.new_page()
                        started = time.monotonic()
                        page.goto(url)
                        page.locator(wanted).first.wait_for(timeout=1000 * LIMIT_SECONDS)
                        times.append(time.monotonic() - started)
                        page.close()
                    shown = times[1:]  # The first one fills the browser's cache.
                    spread = f"{statistics.median(shown):.1f} ({min(shown):.1f}-{max(shown):.1f})"
                    yield f"{name}, s", spread, f"≤ {GOAL_SECONDS:.0f}"
        finally:
            servers.down(home)


if __name__ == "__main__":
    print("| page | median (range) | goal |\n|---|---|---|", flush=True)
    for row in rows(*(int(number) for number in sys.argv[1:] or (200, 10))):
        print(f"| {' | '.join(row)} |", flush=True)
