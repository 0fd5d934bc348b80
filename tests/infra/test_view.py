"""The view that compares generations, on a real MLflow server: made once, and left alone where a user changed it."""

import base64
import json
import zlib
from typing import Any

from infra.lineage.client import client
from infra.lineage.view import NAME, TAG, comparison_url, find_comparison, update_view
from tests.infra.lineage_samples import a_job


def the_view(experiment: str) -> dict[str, Any]:
    view: dict[str, Any] = json.loads(client().get_experiment(experiment).tags[TAG])
    return view


def state_of(view: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(view["state"].removeprefix("deflate;"))))
    return state


def test_it_is_made_once_and_updated_for_another_shape_of_society(tracking: str) -> None:
    experiment = a_job("viewed").experiment_id
    assert find_comparison("viewed") is find_comparison("nobody") is None
    update_view(experiment, agents=3, rounds=2)
    first = the_view(experiment)
    assert first["name"] == NAME and find_comparison("viewed") == comparison_url(experiment)
    update_view(experiment, agents=3, rounds=2)
    assert the_view(experiment) == first
    update_view(experiment, agents=10, rounds=4)
    second = the_view(experiment)
    assert second["createdAt"] == first["createdAt"] and second["updatedAt"] > first["updatedAt"]
    charts = [chart["selectedMetricKeys"] for chart in state_of(second)["compareRunCharts"]]
    assert ["accuracy/society", "accuracy/critics", "accuracy/generators"] in charts
    assert [f"round-4/critic-{n}" for n in range(10)] in charts
    assert len(client().get_experiment(experiment).tags[TAG]) < 5000, "the limit of some databases"


def test_what_a_user_made_of_it_stays_and_what_was_deleted_comes_back(tracking: str) -> None:
    experiment = a_job("own-view").experiment_id
    update_view(experiment, agents=3, rounds=2)
    ours = the_view(experiment)
    # MLflow's page writes these four fields when a user renames or overrides the view.
    renamed = {"name": "Mine"} | {key: ours[key] for key in ("createdAt", "updatedAt", "state")}
    for own in (
        json.dumps(renamed),
        json.dumps(ours | {"name": "Mine"}),
        json.dumps(ours | {"state": "{}"}),
        "[]",
        "?",
    ):
        client().set_experiment_tag(experiment, TAG, own)
        update_view(experiment, agents=5, rounds=2)
        assert client().get_experiment(experiment).tags[TAG] == own
    client().delete_experiment_tag(experiment, TAG)
    update_view(experiment, agents=3, rounds=2)
    assert state_of(the_view(experiment)) == state_of(ours)
