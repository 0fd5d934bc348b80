"""Commands that are one process of `maft up` in the foreground: serve prefect, serve mlflow, serve worker."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.shared import OPERATION, HomeOption, app, faults, say
from infra.home.home import DEFAULT, Home

if TYPE_CHECKING:
    from infra.operation.services import Service

serve = typer.Typer(
    no_args_is_help=True, help="Be one process of `maft up` in the foreground, for containers and supervisors."
)
app.add_typer(serve, name="serve", rich_help_panel=OPERATION)

HostOption = Annotated[str, typer.Option(metavar="IP", help="The address to listen on; 0.0.0.0 is every one.")]
PortOption = Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")]


@serve.command()
def prefect(host: HostOption = "127.0.0.1", port: PortOption = 4200, home: HomeOption = Path(DEFAULT)) -> None:
    """Be the Prefect server until Ctrl-C."""
    with faults():
        from infra.operation.services import PREFECT

        _serve(home, PREFECT, host, port)


@serve.command()
def mlflow(host: HostOption = "127.0.0.1", port: PortOption = 5000, home: HomeOption = Path(DEFAULT)) -> None:
    """Be the MLflow server until Ctrl-C."""
    with faults():
        from infra.operation.services import MLFLOW

        _serve(home, MLFLOW, host, port)


@serve.command()
def worker(home: HomeOption = Path(DEFAULT)) -> None:
    """Register the deployments and be a worker until Ctrl-C.

    PREFECT_API_URL and MLFLOW_TRACKING_URI name the servers.
    """
    with faults():
        from infra.operation.foreground import work

        work(Home.open(home), say)


@serve.command()
def check(home: HomeOption = Path(DEFAULT)) -> None:
    """End with status 0 if the Prefect server has heard from the worker of this home lately, else with 2."""
    with faults():
        from infra.operation.foreground import check

        check(Home.open(home))


def _serve(home: Path, service: "Service", host: str, port: int) -> None:
    from infra.operation.foreground import serve

    serve(Home.open(home), service, host, port)
