"""The reference has every command, method and config field with its default; README has the benchmark's results."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from evaluation.benchmark.methods import METHODS
from infra.cli.main import app
from infra.config.benchmark import Benchmark
from infra.config.job import Config
from infra.config.sections import kinds_of

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
MANUAL = (ROOT / "docs" / "manual.md").read_text("utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text("utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")
JOB, _, BENCHMARK = REFERENCE.partition("\n## Config of a benchmark\n")


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every field once, by its dotted name, with its default; None for a field without a default."""
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if kinds := kinds_of(model, name):
            of_all = [each for _, kind in kinds.registry.items() for each in fields(kind, f"{prefix}{name}.")]
            tag = f"{prefix}{name}.{kinds.tag}"
            yield tag, kinds.default
            yield from dict(each for each in of_all if each[0] != tag).items()
        elif isinstance(default, BaseModel):
            yield from fields(type(default), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", None if default is PydanticUndefined else default


OTHER = [(name, default) for name, default in fields(Benchmark) if (name, default) not in [*fields(Config)]]
"""The fields of a benchmark that a job does not have, or has with another default."""


@pytest.mark.parametrize(
    ("page", "name", "default"),
    [*((JOB, name, d) for name, d in fields(Config)), *((BENCHMARK, name, d) for name, d in OTHER)],
    ids=[*(f"job: {name}" for name, _ in fields(Config)), *(f"benchmark: {name}" for name, _ in OTHER)],
)
def test_every_config_field_is_described_with_its_default(page: str, name: str, default: object) -> None:
    row = next((line for line in page.splitlines() if line.startswith(f"| `{name}` |")), None)
    assert row is not None, f"docs/reference.md has no row for {name}"
    shown, _, meaning = (cell.strip() for cell in row.split("|")[2:5])
    assert meaning, row
    if not isinstance(default, list | tuple):
        known = "none" if default is None or default == {} else str(default)
        expected = known.lower() if isinstance(default, bool) else known
        assert shown == expected, row


@pytest.mark.parametrize("command", [str(c.callback.__name__) for c in app.registered_commands if c.callback])
def test_every_command_is_described(command: str) -> None:
    assert f"`maft {command}" in MANUAL
    assert f"\n### `maft {command}`\n" in REFERENCE


def test_every_method_is_described() -> None:
    for name, method in METHODS.items():
        assert f"| `{name}` | {method.title} |" in REFERENCE


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_results_are_those_of_the_benchmark_in_docs() -> None:
    folder = ROOT / "docs" / "benchmark"
    tables = (folder / "tables.md").read_text("utf-8")
    main = [line for line in tables.partition("Accuracy after each iteration")[0].splitlines() if line.startswith("|")]
    assert len(main) > 11, "a heading, a rule, and a line for each of ten methods"
    assert "\n".join(main) in README
    assert "\n".join(main) in RESULTS
    values = pd.read_parquet(folder / "values.parquet")
    values = values[~values["transfer"]]
    last = values[values["iteration"] == values.groupby("method")["iteration"].transform("max")]
    assert set(values["seed"]) == {1, 2, 3} and values["iteration"].max() == 5
    for method, right in last.groupby("method")["right"]:
        (line,) = (line for line in main if line.startswith(f"| {METHODS[method].title} |"))
        assert f"| {100 * right.mean():.1f}±" in line, line
