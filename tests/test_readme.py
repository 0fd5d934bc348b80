"""The README names every command and every config field with its default."""

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

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        assert default is not PydanticUndefined, f"{prefix}{name} has no default"
        if isinstance(default, BaseModel):
            yield from fields(type(default), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", default


OTHER = [(name, default) for name, default in fields(Benchmark) if (name, default) not in [*fields(Config)]]
"""What a benchmark's fields are, where they are not a job's."""


@pytest.mark.parametrize(("name", "default"), [*fields(Config), *((f"benchmark: {name}", d) for name, d in OTHER)])
def test_every_config_field_is_described_with_its_default(name: str, default: object) -> None:
    row = next((line for line in README.splitlines() if line.startswith(f"| `{name}` |")), None)
    assert row is not None, f"README has no row for {name}"
    shown = row.split("|")[2].strip()
    if not isinstance(default, list):
        expected = "none" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
        assert shown == expected, row


@pytest.mark.parametrize("command", [str(c.callback.__name__) for c in app.registered_commands if c.callback])
def test_every_command_is_described(command: str) -> None:
    assert f"`maft {command}" in README


def test_every_method_is_described() -> None:
    for name, method in METHODS.items():
        assert f"| `{name}` | {method.title} |" in README


def test_the_results_are_those_of_the_benchmark_in_docs() -> None:
    folder = Path(__file__).parent.parent / "docs" / "benchmark"
    tables = (folder / "tables.md").read_text("utf-8")
    main = [line for line in tables.partition("Accuracy after each iteration")[0].splitlines() if line.startswith("|")]
    assert len(main) > 11, "a heading, its rule, and a line for each of ten methods"
    assert "\n".join(main) in README
    values = pd.read_parquet(folder / "values.parquet")
    values = values[~values["transfer"]]
    last = values[values["iteration"] == values.groupby("method")["iteration"].transform("max")]
    assert set(values["seed"]) == {1, 2, 3} and values["iteration"].max() == 5
    for method, right in last.groupby("method")["right"]:
        (line,) = (line for line in main if line.startswith(f"| {METHODS[method].title} |"))
        assert f"| {100 * right.mean():.1f}±" in line, line
