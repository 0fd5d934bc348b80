"""The console command `maft`.

Prefect and MLflow read their settings when they are imported, and torch takes seconds to load, so every command imports
what it needs after the environment is set. The commands are in `jobs`, `generations` and `operate`.
"""

import importlib.util
import sys
from pathlib import Path

from infra.cli import generations, jobs, operate
from infra.cli.shared import app

__all__ = ["app", "generations", "jobs", "operate"]


def main() -> None:
    """Run a command; exit if packages of another project, such as another `agents`, hide this project's packages."""
    root = Path(__file__).resolve().parents[2]
    for package in ("agents", "tasks"):
        spec = importlib.util.find_spec(package)
        found = Path(str(spec and spec.origin)).resolve().parent.parent
        if found != root:
            print(
                f"maft: the package {package!r} in {found} hides maft's own package of that name; "
                "install maft into an environment of its own",
                file=sys.stderr,
            )
            raise SystemExit(2)
    app()
