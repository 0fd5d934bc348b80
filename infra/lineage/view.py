"""The view of a society's experiment in MLflow that compares its generations: a table, and charts over generations.

It is a saved view, as the page's *Save as new view* makes it: a tag of the experiment with a name, times and the state
of the page. Each generation is a run with one point per metric, so no run has a curve; the view groups the runs by
lineage, and MLflow draws a curve through the runs of a group.
"""

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from infra.lineage.client import client
from infra.lineage.runs import experiment_name

if TYPE_CHECKING:
    from mlflow.entities import Experiment

KEY = "generations"
TAG = f"mlflow.sharedViewState.{KEY}"
NAME = "All generations, to compare"
LINEAGE, VERDICT, ALIAS = "lineage", "verdict", "alias"
"""Tags of a generation's run: the view groups by the first, the generations that descend from one start."""

COLUMNS = {
    "metrics.`accuracy/society`": 120,
    "metrics.`accuracy/critics`": 115,
    "metrics.`accuracy/generators`": 145,
    "metrics.`accuracy/majority`": 125,
    "metrics.`agreement/consensus`": 150,
    "metrics.`accuracy/labels kept`": 145,
    f"tags.`{VERDICT}`": 70,
    f"tags.`{ALIAS}`": 150,
    "metrics.`responses/unanswered`": 155,
    "metrics.`cost/tokens`": 100,
    "metrics.`cost/seconds`": 105,
    "metrics.`generation`": 90,
    "params.`parent`": 190,
    "params.`portion`": 70,
    "params.`examples.generators`": 150,
    "params.`examples.critics`": 130,
}
"""The columns of the table in their order, each with its width in pixels."""
FIRST, LAST = {"attributes.`Run Name`": 250, "runDateAndNestInfo": 140}, {"duration": 70}
"""Columns that the page shows in any view, by MLflow's ids."""

MAIN = ["accuracy/society", "accuracy/critics", "accuracy/generators"]
COST = (["cost/tokens"], ["cost/seconds"], ["work/tokens sampled", "work/tokens trained"])
# MLflow adds a chart for each other metric, in a section that is named after the part before the slash.
CLOSED = ("accuracy", "agreement", "cost", "messages", "responses", "seconds", "standard-error", "work", "")


def comparison_url(experiment_id: str, *, charts: bool = False) -> str:
    """The address of the MLflow page that compares the generations of all jobs of the experiment.

    Args:
        experiment_id: Id of the society's experiment, for which `update_view` was called.
        charts: Whether the page shows the charts in place of the table.
    """
    page = f"#/experiments/{experiment_id}/runs?viewStateShareKey={KEY}&workflowType=machine_learning"
    return f"{client().tracking_uri.rstrip('/')}/{page}{'&compareRunsMode=CHART' if charts else ''}"


def find_comparison(society: str) -> str | None:
    """The address of the page that compares the society's generations; None if there is no such page."""
    experiment = client().get_experiment_by_name(experiment_name(society))
    if experiment is None or experiment.lifecycle_stage == "deleted" or TAG not in experiment.tags:
        return None
    return comparison_url(experiment.experiment_id)


def update_view(experiment_id: str, *, agents: int, rounds: int) -> None:
    """Make or update the view, unless a user has changed it.

    A view that was deleted is made again, since the links on the pages name it.

    Args:
        experiment_id: Id of the society's experiment.
        agents: The number of agents of each role, for the charts of single agents.
        rounds: The number of rounds of a debate.
    """
    present = _read(client().get_experiment(experiment_id))
    if present and present.get("maft") != _digest(present):
        return
    state = json.dumps(_state(agents, rounds), sort_keys=True)
    if present and _inflated(present["state"]) == state:
        return
    now = int(time.time() * 1000)
    view = {"name": NAME, "createdAt": present.get("createdAt", now), "updatedAt": now, "state": _deflated(state)}
    # MLflow's page writes a view without this field, so a view that has it is as it was written here.
    client().set_experiment_tag(experiment_id, TAG, json.dumps(view | {"maft": _digest(view)}))


def _read(experiment: "Experiment") -> dict[str, Any]:
    """The view; empty if there is none. What is no JSON object is somebody's own."""
    try:
        view = json.loads(experiment.tags.get(TAG, "{}"))
    except ValueError:
        return {"state": ""}
    return view if isinstance(view, dict) else {"state": ""}


def _digest(view: Mapping[str, Any]) -> str:
    """A digest of what a user can change: the name and the state."""
    return hashlib.sha256(json.dumps([view.get("name"), view.get("state")]).encode()).hexdigest()


# Databases limit a tag of an experiment to 5000 characters. MLflow's page compresses views in this form.
def _deflated(text: str) -> str:
    return f"deflate;{base64.b64encode(zlib.compress(text.encode())).decode()}"


def _inflated(text: str) -> str:
    return zlib.decompress(base64.b64decode(text.removeprefix("deflate;"))).decode()


def _state(agents: int, rounds: int) -> dict[str, Any]:
    """The state of MLflow's page, with the names of its fields."""
    sections = {"Accuracy over generations": [MAIN, ["accuracy/society", "accuracy/majority", "accuracy/labels kept"]]}
    sections["Each agent, by round"] = [
        [f"round-{number}/{role}-{index}" for index in range(agents)]
        for number in range(1, rounds + 1)
        for role in ["generator" if number == 1 else "critic"]
    ]
    sections["Diversity: the share of agents that agree, by round"] = [
        [f"agreement/round-{number}" for number in range(1, rounds + 1)]
    ]
    sections["Cost"] = list(COST)
    shown = [_section(name, columns=1) for name in sections]
    closed = [*CLOSED, *(f"round-{number}" for number in range(1, rounds + 1))]
    return {
        "searchFilter": "tags.`maft.kind` = 'generation'",
        # In order of time, the page would hide generations below their jobs.
        "orderByKey": "metrics.`generation`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(COLUMNS),
        "columnOrder": [*FIRST, *COLUMNS, *LAST],
        "columnWidths": FIRST | COLUMNS | LAST,
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": LINEAGE}]},
        # Generations of an earlier maft, which have no lineage, are in a group that is closed by default.
        "groupsExpanded": {f"tag.{LINEAGE}": True},
        "useGroupedValuesInCharts": True,
        "runsHiddenMode": "SHOW_ALL",
        "compareRunSections": [*shown, *(_section(name or "Model metrics", shown=False) for name in closed)],
        "compareRunCharts": [*_charts(sections)],
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }


def _section(name: str, *, shown: bool = True, columns: int = 3) -> dict[str, Any]:
    return {"uuid": f"maft {name}", "name": name, "display": shown, "columns": columns, "cardHeight": 360}


def _charts(sections: Mapping[str, Sequence[Sequence[str]]]) -> Iterable[dict[str, Any]]:
    """Line charts over generations, which are the steps of the metrics."""
    for section, charts in sections.items():
        for number, metrics in enumerate(charts):
            yield {
                "uuid": f"maft {section} {number}",
                "type": "LINE",
                "metricSectionId": f"maft {section}",
                "metricKey": metrics[0],
                "selectedMetricKeys": list(metrics),
                "runsCountToCompare": 10,
                "lineSmoothness": 0,
                "xAxisScaleType": "linear",
                "scaleType": "linear",
                "xAxisKey": "step",
                "yAxisKey": "metric",
                "range": {},
                "yAxisExpressions": [],
                "useGlobalXaxisKey": True,
                "useGlobalLineSmoothing": True,
            }
