"""Writes counts that show the layout of the code into docs/architecture.md. Run by `make docs`.

`python docs/counts.py FOLDER` prints the table of another checkout instead.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
ROOMS = ("flows", "tasks", "infra", "agents", "evaluation")
BEGIN, END = "<!-- counts, written by `make docs` -->\n", "<!-- end of counts -->"
MOST_LINES = 300
MOST_PARAMETERS = 5

EXAMPLES = {
    "a topology": "sparse",
    "an engine": "vllm",
    "a training method": "dpo",
    "a problem source": "hub:",
    "a field of the debate": "stop_on_consensus",
    "a method of the benchmark": "early-stop",
}
"""For each kind of thing that can be added, an example that exists."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(root: Path) -> dict[Path, ast.Module]:
    """The syntax of every module of the rooms, by its path in the checkout."""
    paths = sorted(path for room in ROOMS for path in (root / room).rglob("*.py"))
    return {path.relative_to(root): ast.parse(path.read_text("utf-8")) for path in paths}


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _parameters(function: Function) -> list[str]:
    """Names of all parameters, without self and cls."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def _length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _names(tree: ast.Module, name: str) -> bool:
    """Whether a module uses this name: as a string, a variable, an attribute or an argument."""
    return any(
        (isinstance(node, ast.Constant) and node.value == name)
        or (isinstance(node, ast.Name) and node.id == name)
        or (isinstance(node, ast.Attribute) and node.attr == name)
        or (isinstance(node, ast.keyword | ast.arg) and node.arg == name)
        for node in ast.walk(tree)
    )


def _lines(root: Path, path: Path) -> int:
    return len((root / path).read_text("utf-8").splitlines())


def _adding(trees: dict[Path, ast.Module]) -> Iterator[tuple[str, str]]:
    for kind, name in EXAMPLES.items():
        files = [str(path) for path, tree in trees.items() if _names(tree, name)]
        carried = sum(name in _parameters(f) for tree in trees.values() for f in _functions(tree))
        count = f"{len(files)} file{'s' * (len(files) != 1)}, {carried} parameter{'s' * (carried != 1)}"
        yield f"files that name {kind}, `{name}`, and parameters that carry it", f"{count}: {_listed(files)}"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def table(root: Path) -> str:
    """The counts of a checkout, as a table in markdown."""
    trees = modules(root)
    sizes = {path: _lines(root, path) for path in trees}
    longest, where = max(
        ((f, path) for path, tree in trees.items() for f in _functions(tree)), key=lambda f: _length(f[0])
    )
    many = [
        f"{path}: {f.name}"
        for path, tree in trees.items()
        if path.parts[0] == "tasks"
        for f in _functions(tree)
        if len(_parameters(f)) > MOST_PARAMETERS
    ]
    rooms = {room: sum(lines for path, lines in sizes.items() if path.parts[0] == room) for room in ROOMS}
    large = [str(path) for path, lines in sizes.items() if lines > MOST_LINES]
    rows = [
        *_adding(trees),
        ("lines of each room", ", ".join(f"`{room}` {lines:,}" for room, lines in rooms.items())),
        (f"functions of `tasks/` with more than {MOST_PARAMETERS} parameters", _listed(many)),
        ("the longest function", f"{_length(longest)} lines, `{longest.name}` in `{where}`"),
        (f"files above {MOST_LINES} lines", _listed(large)),
    ]
    return "\n".join(["| count | now |", "|---|---|", *(f"| {name} | {count} |" for name, count in rows)])


def page(text: str) -> str:
    """The architecture page with new counts."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(ROOT)}\n\n{END}{after}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(table(Path(sys.argv[1])))
    else:
        PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
