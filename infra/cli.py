"""The console command `maft`.

Prefect and MLflow read their settings when they are imported, and torch takes seconds to load, so every command imports
what it needs after the environment is set. Flows are started by entrypoint, as a deployment starts them.
"""

import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from infra.errors import UserError
from infra.home import DEFAULT, Home

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Multiagent finetuning: a society of agents over one base model improves itself.",
)
out = Console()
err = Console(stderr=True)

HomeOption = Annotated[
    Path, typer.Option("--home", envvar="MAFT_HOME", help="Folder of everything that is written.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object; logs go to standard error.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override one config field; repeatable.")
]


@app.command()
def run(
    config_file: Annotated[Path | None, typer.Argument(metavar="[CONFIG.yaml]", show_default=False)] = None,
    assignments: SetOption = None,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Prefect's log as well.")] = False,
) -> None:
    """Run the main job: finetune a society for L iterations and evaluate every generation.

    Started again after a kill it goes on where it was cut off; finished, it samples and trains nothing.
    """
    started = time.monotonic()
    with faults():
        from agents.engines import base_model
        from evaluation.problems.sources import load_problems
        from infra.config_file import load_config

        config = load_config(config_file, assignments or [])
        load_problems(config.problems, config.seed)  # Refused before anything is started or written.
        base_model.check(config.base_model)
        servers = serve(home, verbose)
        from prefect.flows import load_flow_from_entrypoint

        from infra.cache import served
        from infra.terminal import progress_bars

        improve: Any = load_flow_from_entrypoint("flows.improve.improve")
        with progress_bars(err):
            result = improve(config)
        report = {
            "society": config.society,
            "home": str(Home.open(home).path),
            "seed": config.seed,
            "config": config.model_dump(mode="json"),
            "generations": [generation.model_dump(mode="json") for generation in result.generations],
            "mlflow": {
                "tracking_uri": servers.mlflow_tracking_uri,
                "experiment_id": result.job.experiment_id,
                "run_id": result.job.run_id,
            },
            "prefect": {"flow_run_id": result.flow_run_id},
            "cached": served["cached"],
            "seconds": round(time.monotonic() - started, 3),
        }
        if as_json:
            print(json.dumps(report))
            return
        show(result.generations, config.society)
        picture = Home.open(home).pictures / f"{config.society}-{result.job.job}.png"
        out.print(f"Picture  {picture}", soft_wrap=True)
        out.print(f"Prefect  {servers.prefect_ui_url}/runs/flow-run/{result.flow_run_id}", soft_wrap=True)
        out.print(
            f"MLflow   {servers.mlflow_tracking_uri}/#/experiments/{result.job.experiment_id}/runs/{result.job.run_id}",
            soft_wrap=True,
        )
        out.print(f"{report['seconds']:.0f} s, {served['cached']} tasks from cache, {served['computed']} computed")


@app.command()
def compare(
    society: Annotated[str, typer.Argument(help="Name of the society.")] = "arith",
    run_id: Annotated[str | None, typer.Option("--run", help="An MLflow run of the society; default: newest.")] = None,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
) -> None:
    """Show the generations of a society side by side, read from MLflow."""
    with faults():
        servers = serve(home)
        from infra.generations import read_generations

        job, generations = read_generations(society, run_id)
        if as_json:
            print(
                json.dumps(
                    {
                        "society": society,
                        "mlflow": {
                            "tracking_uri": servers.mlflow_tracking_uri,
                            "experiment_id": job.experiment_id,
                            "run_id": job.run_id,
                        },
                        "generations": [generation.model_dump(mode="json") for generation in generations],
                    }
                )
            )
        else:
            show(generations, society)


@app.command()
def pretrain(
    seed: Annotated[int, typer.Option(help="Root of the training data and of the first weights.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Folder to copy the finished model to; default: it stays in the home.")
    ] = None,
    home: HomeOption = Path(DEFAULT),
) -> None:
    """Rebuild the embedded base model from scratch (about 40 minutes on 2 cores)."""
    with faults():
        serve(home)
        from prefect.flows import load_flow_from_entrypoint

        from infra.store import Store
        from infra.terminal import progress_bars

        with progress_bars(err):
            rebuild: Any = load_flow_from_entrypoint("flows.pretrain.pretrain")
            trained = rebuild(seed)
        folder = Store(Home.open(home).artifacts).folder(trained.model.sha256)
        if output is not None:
            import shutil

            shutil.copytree(folder, output, dirs_exist_ok=True)
            folder = output
        out.print(f"Model    {folder}", soft_wrap=True)


@app.command()
def up(home: HomeOption = Path(DEFAULT)) -> None:
    """Start the Prefect and the MLflow server, unless they run already."""
    with faults():
        servers = serve(home)
        out.print(f"Prefect  {servers.prefect_ui_url}\nMLflow   {servers.mlflow_tracking_uri}", soft_wrap=True)


@app.command()
def down(home: HomeOption = Path(DEFAULT)) -> None:
    """Stop the servers that `maft up` or `maft run` started for this home."""
    with faults():
        from infra.servers import down as stop

        stopped = stop(Home.open(home))
        out.print(f"stopped {' and '.join(stopped)}" if stopped else "nothing to stop")


@app.command()
def status(home: HomeOption = Path(DEFAULT), as_json: JsonOption = False) -> None:
    """Tell which servers run, where, and since when."""
    with faults():
        from dataclasses import asdict

        from infra.servers import status as read_status

        found = read_status(Home(home.expanduser().resolve()))
        if as_json:
            print(json.dumps({"home": str(home.expanduser().resolve()), "servers": [asdict(s) for s in found]}))
            return
        table = Table("server", "state", "address", "pid", "since (UTC)", box=None, header_style="bold")
        for server in found:
            state = "answers" if server.answering else "silent" if server.running else "down"
            table.add_row(server.name, state, server.url or "", str(server.pid or ""), (server.since or "")[:19])
        out.print(table)


def serve(home: Path, verbose: bool = False) -> Any:
    """Servers up and this process set to use them; call it before Prefect or MLflow is imported."""
    from infra.servers import up as start
    from infra.settings import apply_environment

    opened = Home.open(home)
    servers = start(opened, lambda line: err.print(f"[dim]{line}[/dim]", soft_wrap=True, highlight=False))
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO" if verbose else "WARNING")
    apply_environment(opened, servers.prefect_api_url, servers.mlflow_tracking_uri)
    return servers


def show(generations: list[Any], society: str) -> None:
    """The table of generations."""
    from evaluation.report import generations_table

    out.print(generations_table(generations, society))


@contextmanager
def faults() -> Iterator[None]:
    """A fault of the input or the surroundings ends the command with its one line and status 2."""
    from agents.engines.base_model import BaseModelError
    from evaluation.problems.files import ProblemFileError
    from evaluation.problems.sources import OverlapError, TooFewProblemsError

    try:
        yield
    except (UserError, BaseModelError, ProblemFileError, OverlapError, TooFewProblemsError) as error:
        print(f"maft: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def main() -> None:
    """Entry point; refuses to work with another project's packages of the same generic names."""
    root = Path(__file__).resolve().parent.parent
    for package in ("agents", "tasks"):
        spec = importlib.util.find_spec(package)
        found = Path(str(spec and spec.origin)).resolve().parent.parent
        if found != root:
            print(
                f"maft: the package {package!r} of {found} shadows this project's; "
                "install maft into an environment of its own",
                file=sys.stderr,
            )
            raise SystemExit(2)
    app()
