"""Finds the modules that decide a result in the import graph, and computes a digest of their code.

A module decides what a function returns if the function's module imports it, at its top or inside a function,
directly or through other modules of this project. Imports for type checkers alone do not count. The digest ignores
comments, docstrings and formatting, which change no result.
"""

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = frozenset({"flows", "tasks", "infra", "agents", "evaluation"})


def source_digest(modules: Iterable[str]) -> str:
    """SHA-256 of the code of these modules and of all modules of this project that they import.

    Args:
        modules: dotted names; a module outside this project, such as a plugin, may be among them.

    Raises:
        ModuleNotFoundError: a module has no source.
    """
    return _digest(frozenset(modules))


@functools.cache
def _digest(modules: frozenset[str]) -> str:
    hasher = hashlib.sha256()
    for module in sorted(imported_by(modules)):
        hasher.update(f"{module} {_code_digest(module)}\n".encode())
    return hasher.hexdigest()


def imported_by(modules: Iterable[str]) -> set[str]:
    """These modules and all modules of this project that they import, directly or indirectly."""
    found: set[str] = set()
    waiting = [name for module in modules for name in _with_parents(module)]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(_imports(module))
    return found


@functools.cache
def _imports(module: str) -> tuple[str, ...]:
    """The modules of this project that a module imports; for a package, those that its `__init__` imports."""
    return tuple(dict.fromkeys(name for found in _statements(_tree(module)) for name in _with_parents(found)))


def _statements(tree: ast.AST) -> Iterator[str]:
    """The modules of this project that import statements name, except those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            yield from (name for branch in node.orelse for name in _statements(ast.Module([branch], [])))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in ROOMS)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ROOMS:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if _file(inner) else node.module
        elif not isinstance(node, ast.expr):  # No expression contains an import.
            yield from _statements(node)


def _is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _with_parents(module: str) -> Iterator[str]:
    """A module and the packages that contain it, since their `__init__` runs before it."""
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        yield ".".join(parts[:end])


def _file(module: str) -> Path | None:
    """The source file of a module of this project; None for any other name."""
    place = ROOT.joinpath(*module.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


@functools.cache
def _tree(module: str) -> ast.Module:
    file = _file(module) if module.partition(".")[0] in ROOMS else None
    if file is None:
        spec = importlib.util.find_spec(module)
        if spec is None or not spec.has_location or spec.origin is None:
            raise ModuleNotFoundError(f"{module}: the module has no source file, so no cache key can be made from it")
        file = Path(spec.origin)
    return ast.parse(file.read_bytes())


@functools.cache
def _code_digest(module: str) -> str:
    tree = _tree(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # A string that stands alone as a statement is documentation.
            node.body = [each for each in node.body if not _is_text(each)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
