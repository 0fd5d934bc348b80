"""A benchmark's report read back from a real MLflow server. Run: pytest tests/infra/test_benchmark_report.py"""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from evaluation.reporting.page import render
from infra.cli.benchmark_folder import TABLES, export
from infra.config.benchmark import Benchmark
from infra.errors import UserError
from infra.home.home import Home
from infra.lineage import contents, runs
from infra.lineage.benchmark import (
    BENCHMARK,
    CONFIG,
    DEBATES,
    PAGE,
    VALUES,
    VERSIONS,
    job_run,
    page_of,
    publish,
    read_benchmark,
    versions,
)
from infra.lineage.records import JobRun
from tests.evaluation.report_samples import sample

SOCIETY = "reported"
SVG = "{http://www.w3.org/2000/svg}"
REPORT = sample(2, 2, ("majority", "single-ft", "multiagent-ft"))


def log(folder: Path) -> JobRun:
    """Log a benchmark's run as the flow does."""
    methods = ["majority", "single-ft", "multiagent-ft"]
    config = Benchmark(society=SOCIETY, seeds=[1, 2], iterations=2, methods=methods, transfer={"max_value": 40})
    job = runs.open_job(SOCIETY, "a" * 16, "benchmark", {}, {"maft.base_model_sha256": "b" * 64}, kind="benchmark")
    told = {
        "rows": [row.model_dump(mode="json") for row in REPORT.rows],
        "transfer": [row.model_dump(mode="json") for row in REPORT.transfer],
        "outcomes": [each.outcome.model_dump(mode="json") for each in REPORT.scored],
    }
    values = [
        (
            *(getattr(each.outcome, name) for name in ("method", "iteration", "seed", "transfer")),
            id_,
            right,
            each.alone[id_],
        )
        for each in REPORT.scored
        for id_, right in each.right.items()
    ]
    columns = ["method", "iteration", "seed", "transfer", "problem_id", "right", "alone"]
    pd.DataFrame(values, columns=columns).to_parquet(folder / Path(VALUES).name)
    contents.log_artifacts(job.run_id, [folder / Path(VALUES).name], str(Path(VALUES).parent))
    contents.log_text(job.run_id, json.dumps(told), BENCHMARK)
    contents.log_text(job.run_id, json.dumps([each.model_dump(mode="json") for each in REPORT.debates]), DEBATES)
    contents.log_text(job.run_id, json.dumps(versions()), VERSIONS)
    contents.log_text(job.run_id, config.model_dump_json(exclude={"runner"}), CONFIG)
    return job


def test_a_finished_benchmark_is_read_back_and_told(tracking: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no finished benchmark"):
        read_benchmark(SOCIETY)
    job = log(tmp_path)
    with pytest.raises(UserError, match="has no finished benchmark"):
        read_benchmark(SOCIETY)
    with pytest.raises(UserError, match="is RUNNING"):
        read_benchmark(SOCIETY, job.run_id)
    runs.close_job(job, "FINISHED")
    found = read_benchmark(SOCIETY)
    assert (found.rows, found.scored, found.debates) == (REPORT.rows, REPORT.scored, REPORT.debates)
    assert found.findings == REPORT.findings and job_run(found) == job
    assert "--set 'seeds=[1, 2]'" in found.making.command and found.making.versions == versions()
    path = page_of(Home.open(tmp_path / "home"), job)
    publish(found, path)
    page = path.read_text("utf-8")
    assert page == contents.read_text(job.run_id, PAGE) and REPORT.findings[0].said in page
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with pytest.raises(UserError, match="cannot be written"):
        publish(found, tmp_path / "nowhere" / "page.html")


def test_a_benchmark_as_files(tracking: str, tmp_path: Path) -> None:
    job = log(tmp_path)
    runs.close_job(job, "FINISHED")
    found = read_benchmark(SOCIETY, job.run_id)
    files = {file.name: file for file in export(found, tmp_path / "files")}
    assert {file.name for file in (tmp_path / "files").iterdir()} == files.keys()
    assert files[PAGE].read_text("utf-8") == render(found)
    assert json.loads(files[BENCHMARK].read_text("utf-8"))["rows"] == [
        row.model_dump(mode="json") for row in REPORT.rows
    ]
    right = pd.read_parquet(files[Path(VALUES).name])["right"]
    assert list(right) == [value for each in REPORT.scored for value in each.right.values()]
    best = max(REPORT.rows, key=lambda row: (row.method == "multiagent-ft", row.iteration))
    assert f"| multiagent FT | {100 * best.alone.value:.1f} |" in files[TABLES].read_text("utf-8")
    for name in ("accuracy.svg", "cost.svg"):
        root = ElementTree.parse(files[name]).getroot()
        style = root.findtext(f"{SVG}style") or ""
        needed = {name for element in root.iter() for name in re.findall(r"var\((--\w+)\)", element.get("style") or "")}
        assert needed and all(f"{name}:" in style for name in needed) and "prefers-color-scheme: dark" in style
        assert "multiagent FT" in [element.text for element in root.iter(f"{SVG}text")]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file: cannot be created"):
        export(found, tmp_path / "file")
    with pytest.raises(UserError, match=r"report\.html: cannot be written"):
        publish(found, tmp_path / "file" / "report.html")


def test_what_is_no_benchmark_is_refused(tracking: str) -> None:
    with pytest.raises(UserError, match="there is no run"):
        read_benchmark(SOCIETY, "0" * 32)
    job = runs.open_job("another", "c" * 16, "job", {}, {})
    with pytest.raises(UserError, match="is not a benchmark"):
        read_benchmark("another", job.run_id)
    empty = runs.open_job("another", "d" * 16, "benchmark", {}, {}, kind="benchmark")
    runs.close_job(empty, "FINISHED")
    with pytest.raises(UserError, match="lacks something"):
        read_benchmark("another")
