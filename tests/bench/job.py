"""The default job: the time that it spends on steps other than sampling and training.

python -m tests.bench.job      prints only these rows
"""

import tempfile
from collections.abc import Iterator

import httpx

from tests.bench.measure import Row, spread, table
from tests.conftest import Maft, free_port, plain_environment


def rows() -> Iterator[Row]:
    """The rows: the default job in a new folder, and the same job again."""
    with tempfile.TemporaryDirectory() as home:
        ports = {"MAFT_PREFECT_PORT": str(free_port()), "MAFT_MLFLOW_PORT": str(free_port())}
        maft = Maft({**plain_environment(), **ports, "MAFT_HOME": home})
        try:
            first = maft.json("run")
            again = maft.json("run")
            prefect = next(s["url"] for s in maft.json("status")["servers"] if s["name"] == "prefect")
            orchestration, lineage = per_iteration(prefect, first)
        finally:
            maft("down")
    stages = [seconds for generation in first["generations"] for seconds in generation["seconds"].values()]
    spent, outside = first["seconds"], first["seconds"] - sum(stages)
    yield (
        "default job, s: all / outside its stages",
        f"{spent:.0f}",
        f"{outside:.0f}",
        f"{outside / spent:.1%}",
        "≤ 10 %",
    )
    yield "default job again, s", f"{again['seconds']:.0f}", "", "", "≤ 20"
    yield "an iteration, s: outside its stages", spread(orchestration), "", "", ""
    yield "an iteration, s: lineage in MLflow", spread(lineage), "", "", ""


def per_iteration(prefect: str, report: dict) -> tuple[list[float], list[float]]:
    """The seconds of each iteration outside sampling and training, and the seconds of registering its generation."""

    def asked(what: str, flow_runs: dict) -> list[dict]:
        return httpx.post(f"{prefect}/{what}/filter", json={"flow_runs": flow_runs}, timeout=30).json()

    job = report["prefect"]["flow_run_id"]
    iterations = asked("flow_runs", {"parent_flow_run_id": {"any_": [job]}})
    stages = {g["generation"]: sum(g["seconds"].values()) for g in report["generations"]}
    outside = [run["total_run_time"] - stages[run["parameters"]["iteration"]] for run in iterations]
    tasks = asked("task_runs", {"id": {"any_": [job]}})
    return outside, [task["total_run_time"] for task in tasks if task["name"].endswith("· register")]


if __name__ == "__main__":
    table(rows())
