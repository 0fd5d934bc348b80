"""Writes a finished benchmark to a folder: the page, tables and pictures for a README or a paper, and the numbers."""

import tempfile
from pathlib import Path

from evaluation.reporting.benchmark_table import benchmark_markdown
from evaluation.reporting.page import Report, render
from evaluation.reporting.plots import pictures
from infra.errors import UserError
from infra.home.files import write
from infra.lineage.benchmark import BENCHMARK, CONFIG, DEBATES, PAGE, VALUES, VERSIONS

TABLES = "tables.md"


def export(report: Report, folder: Path) -> list[Path]:
    """Write the page, its tables in markdown, two pictures (SVG), and the run's data; each file whole or not at all.

    Args:
        folder: created if it is missing; files of the same names in it are replaced.

    Returns:
        The paths of the files.

    Raises:
        UserError: the folder or a file cannot be written.
    """
    from mlflow.artifacts import download_artifacts

    seeds = sorted({each.outcome.seed for each in report.scored})
    texts = {
        PAGE: render(report),
        TABLES: benchmark_markdown(report.rows, report.transfer, report.making.society, seeds) + "\n",
        **pictures(report.rows),
    }
    files = {name: text.encode() for name, text in texts.items()}
    with tempfile.TemporaryDirectory() as downloaded:
        for name in (BENCHMARK, VALUES, DEBATES, CONFIG, VERSIONS):
            path = Path(download_artifacts(run_id=report.making.run_id, artifact_path=name, dst_path=downloaded))
            files[path.name] = path.read_bytes()
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be created: {error.strerror or error}") from error
    for name, content in files.items():
        write(folder / name, content)
    return [folder / name for name in files]
