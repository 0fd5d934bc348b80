"""Registries: entries of this project and of plugins.

Run: pytest tests/evaluation/test_registry.py
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from evaluation.registry import OneOf, PluginError, Registry, load_plugins


def shapes() -> Registry[Callable[[int], int]]:
    """A registry of two functions."""
    registry: Registry[Callable[[int], int]] = Registry("shape")

    @registry.add("square")
    def square(side: int) -> int:
        return side * side

    registry.add("line")(lambda side: side)
    return registry


def test_entries_are_found_by_name_in_the_order_in_which_they_were_added() -> None:
    registry = shapes()
    assert registry.names() == ("square", "line")
    assert registry["square"](3) == 9
    assert {registry.module_of(name) for name in registry.names()} == {__name__}


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"^no shape 'cube'; there are: square, line$"):
        shapes()["cube"]
    with pytest.raises(ValueError, match=r"^no shape 'cube'; there are: none$"):
        Registry[int]("shape")["cube"]


def test_a_name_is_taken_once() -> None:
    registry = shapes()
    with pytest.raises(ValueError, match=rf"{__name__} adds the shape 'line', which {__name__} already added"):
        registry.add("line")(abs)
    assert registry["line"](3) == 3


def test_a_field_takes_the_names_as_a_literal_would() -> None:
    registry = shapes()
    registry.add("point")(lambda side: 1)

    class Settings(BaseModel):
        shape: Annotated[str, OneOf(registry)] = "line"

    assert Settings(shape="square").model_dump() == {"shape": "square"}
    with pytest.raises(ValidationError) as error:
        Settings(shape="cube")
    assert error.value.errors()[0]["type"] == "literal_error"
    assert error.value.errors()[0]["msg"] == "Input should be 'square', 'line' or 'point'"
    schema = Settings.model_json_schema()["properties"]["shape"]
    assert schema == {"default": "line", "enum": ["square", "line", "point"], "title": "Shape", "type": "string"}


PACKAGE = {
    "shapes/__init__.py": "from evaluation.registry import Registry\nSHAPES = Registry('shape', package='shapes')\n",
    "shapes/square.py": "from shapes import SHAPES\nSHAPES.add('square')(4)\n",
    "shapes/line.py": "from shapes import SHAPES\nSHAPES.add('line')(2)\n",
    "my_plugin.py": "from shapes import SHAPES\nSHAPES.add('cube')(8)\n",
    "asks_at_once.py": "import shapes_settings\nfrom shapes import SHAPES\nSHAPES.add('cube')(8)\n",
    "shapes_settings.py": "from shapes import SHAPES\nNAMES = SHAPES.names()\n",
    "fails.py": "1 / 0\n",
}


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run code in a new interpreter that can import PACKAGE and the modules of this project."""
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def run(code: str, plugins: str = "") -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path, "MAFT_PLUGINS": plugins},
            capture_output=True,
            text=True,
        )

    return run


SHOW = "from shapes import SHAPES; print(*SHAPES.names()); print(*dict.fromkeys(map(SHAPES.module_of, SHAPES.names())))"


def test_the_modules_of_the_package_are_found_and_then_the_plugins(python) -> None:
    assert python(SHOW).stdout.split("\n")[:2] == ["line square", "shapes.line shapes.square"]
    with_plugin = python(SHOW, plugins=" my_plugin ,")
    assert with_plugin.stdout.split("\n")[:2] == ["line square cube", "shapes.line shapes.square my_plugin"]


def test_loading_a_plugin_twice_adds_its_entries_once(python) -> None:
    code = "from evaluation.registry import load_plugins; load_plugins(); load_plugins(); import my_plugin;" + SHOW
    assert python(code, plugins="my_plugin,my_plugin").stdout.startswith("line square cube\n")


def test_the_order_does_not_depend_on_what_was_imported_first(python) -> None:
    assert python("import my_plugin, shapes.square;" + SHOW, plugins="my_plugin").stdout.startswith(
        "line square cube\n"
    )


@pytest.mark.parametrize(
    "plugin, reason",
    [
        ("fails", "division by zero"),
        ("not_there", "No module named 'not_there'"),
        ("asks_at_once", "asks_at_once imports a module that reads a registry before asks_at_once has added to it; a"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named_with_the_variable(python, plugin: str, reason: str) -> None:
    error = python(SHOW, plugins=f"my_plugin,{plugin}").stderr
    last = error.rstrip().split("\n")[-1]
    assert last.startswith(f"evaluation.registry.PluginError: MAFT_PLUGINS names {plugin}, which cannot be imported: ")
    assert reason in last


def test_a_module_that_reads_the_registry_before_it_adds_to_it_is_refused_when_imported_alone(python) -> None:
    """Otherwise the registry would lack the module's own entries, without an error."""
    assert "under TYPE_CHECKING or inside a function" in python("import asks_at_once", plugins="asks_at_once").stderr


def test_a_plugin_that_imports_the_settings_which_read_its_names_is_told_how_to(python, tmp_path: Path) -> None:
    (tmp_path / "needs_settings.py").write_text("from agents.debate.settings import DebateSettings\n")
    error = python("import agents.debate.settings", plugins="needs_settings").stderr
    last = error.rstrip().split("\n")[-1]
    assert last.startswith("evaluation.registry.PluginError: MAFT_PLUGINS names needs_settings, which cannot be imp")
    assert last.count("MAFT_PLUGINS") == 1 and last.endswith("under TYPE_CHECKING or inside a function")


def test_no_plugin_is_named_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAFT_PLUGINS", raising=False)
    load_plugins()
    monkeypatch.setenv("MAFT_PLUGINS", "no.such.module")
    with pytest.raises(PluginError, match=r"MAFT_PLUGINS names no\.such\.module"):
        load_plugins()
