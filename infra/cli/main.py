"""The console command `maft`.

Prefect and MLflow read their settings when they are imported, and torch takes seconds to load, so every command imports
what it needs after the environment is set. The commands are in `jobs`, `preview`, `generations`, `operate`, `nightly`,
`cluster` and `foreground`.
"""

import importlib.util
from pathlib import Path
from typing import Any

import typer

from infra.cli import cluster, foreground, generations, jobs, nightly, operate, preview
from infra.cli.shared import app, print_error

__all__ = ["app", "cluster", "foreground", "generations", "jobs", "nightly", "operate", "preview"]

WrongUse: Any = typer.BadParameter.__base__
"""Typer's class of errors about commands, options and arguments, of which it exports only this subclass."""


def main() -> None:
    """Run a command; exit if packages of another project, such as another `agents`, hide this project's packages."""
    root = Path(__file__).resolve().parents[2]
    for package in ("agents", "tasks"):
        spec = importlib.util.find_spec(package)
        found = Path(str(spec and spec.origin)).resolve().parent.parent
        if found != root:
            print_error(
                f"the package {package!r} in {found} hides maft's own package of that name; "
                "install maft into an environment of its own"
            )
            raise SystemExit(2)
    try:
        raise SystemExit(app(standalone_mode=False))
    except WrongUse as error:
        # Without arguments, the help was shown instead, and there is no message.
        if message := error.format_message():
            print_error(f"{message.removesuffix('.')}; see `{error.ctx.command_path} --help`" if error.ctx else message)
        raise SystemExit(error.exit_code) from error
