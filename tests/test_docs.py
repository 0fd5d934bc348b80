"""The generated parts of docs/ agree with the code, and links between the pages have a target."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

ROOT = Path(__file__).parent.parent
REFERENCE = runpy.run_path(str(ROOT / "docs" / "reference.py"))
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "agents/embedded/README.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))


def test_the_reference_is_current() -> None:
    written = (ROOT / "docs" / "reference.md").read_text("utf-8")
    assert written == REFERENCE["page"](), "docs/reference.md does not agree with the code; run `make docs`"


def test_the_counts_have_a_place_in_the_architecture() -> None:
    """The test does not check the numbers, which change with every edit; `make docs` writes them."""
    written = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    made = runpy.run_path(str(ROOT / "docs" / "counts.py"))["page"](written)
    assert [line.split("|")[1] for line in made.splitlines() if line.startswith("|")] == [
        line.split("|")[1] for line in written.splitlines() if line.startswith("|")
    ]


def test_the_reference_needs_no_server_and_no_torch(tmp_path: Path) -> None:
    code = (
        "import runpy, sys; runpy.run_path('docs/reference.py')['page']();"
        "print(sorted({'torch', 'transformers', 'prefect', 'mlflow'} & set(sys.modules)))"
    )
    environment = {**os.environ, "MAFT_HOME": str(tmp_path / "home")}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[]"
    assert not (tmp_path / "home").exists()


class Steam(BaseModel):
    name: Literal["steam"] = Field(default="steam", description="Which engine.")
    pressure: float = Field(default=2.5, gt=0.0, le=10.0, description="Bar.")


class Diesel(BaseModel):
    name: Literal["diesel"] = Field(default="diesel", description="Which engine.")
    pressure: float = Field(default=2.5, gt=0.0, le=10.0, description="Bar.")
    cylinders: int = Field(default=4, ge=1, description="Number of cylinders.")


class Electric(BaseModel):
    name: Literal["electric"] = Field(default="electric", description="Which engine.")


class Boat(BaseModel):
    engine: Annotated[Steam | Diesel | Electric, Field(discriminator="name")] = Field(default_factory=Diesel)


def test_a_section_of_several_kinds_lists_a_field_once_with_the_kinds_that_have_it() -> None:
    rows = {field.name: field for field in REFERENCE["fields"](Boat)}
    assert [*rows] == ["engine.name", "engine.pressure", "engine.cylinders"]
    assert (rows["engine.name"].default, rows["engine.name"].values) == ("diesel", "steam, diesel, electric")
    assert rows["engine.name"].kinds == ()
    assert rows["engine.pressure"].kinds == ("steam", "diesel")
    assert rows["engine.pressure"].values == "number above 0 to 10"
    assert rows["engine.cylinders"].kinds == ("diesel",)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src(?:set)?="([^"]+)"', text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"(?m)^#+ (.*)$", path.read_text("utf-8"))
            anchors = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{page.name} links to {target}"
