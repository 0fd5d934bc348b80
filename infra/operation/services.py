"""The two servers of a home: how each is configured and recognised, and where it may store instead of the home."""

import os
from dataclasses import dataclass

from infra.errors import UserError
from infra.home.home import Home
from infra.operation import environment
from infra.operation.processes import StartedProcess

CONNECT_SECONDS = 10
_PREFECT_SCHEMES = ("postgresql+asyncpg://", "sqlite+aiosqlite://")


@dataclass(frozen=True)
class Service:
    """One of the two servers: how it is configured, and how it is recognised."""

    name: str
    title: str
    url_variable: str
    port_variable: str
    first_port: int
    store_variables: tuple[str, ...]
    """Variables by which the user names where it stores, instead of the home."""
    api_path: str
    """The path in the URL that clients use."""
    healthy: str
    """The text that /health answers, in lower case. The status is not enough: some servers answer 200 to any path."""

    def url(self, port: int) -> str:
        """The URL of a server that listens on this port of loopback."""
        return f"http://{environment.LOOPBACK}:{port}{self.api_path}"


PREFECT = Service(
    name="prefect",
    title="Prefect",
    url_variable="PREFECT_API_URL",
    port_variable="MAFT_PREFECT_PORT",
    first_port=4200,
    store_variables=(environment.PREFECT_DATABASE,),
    api_path="/api",
    healthy="true",
)
MLFLOW = Service(
    name="mlflow",
    title="MLflow",
    url_variable="MLFLOW_TRACKING_URI",
    port_variable="MAFT_MLFLOW_PORT",
    first_port=5000,
    store_variables=(environment.MLFLOW_DATABASE, environment.MLFLOW_FILES),
    api_path="",
    healthy="ok",
)
SERVICES = (PREFECT, MLFLOW)


def check_stores(service: Service) -> None:
    """Refuse a database that the server could not open, before it is started.

    Raises:
        UserError: the database is of another kind than the server can use, does not answer, or needs a package.
    """
    for variable, place in environment.named_stores(service.store_variables).items():
        if variable == environment.PREFECT_DATABASE and not place.startswith(_PREFECT_SCHEMES):
            raise UserError(f"{variable} is {place}; it must begin with {' or '.join(_PREFECT_SCHEMES)}")
        if variable == environment.MLFLOW_DATABASE and place.startswith("postgresql"):
            _check_connection(variable, place)


def _check_connection(variable: str, place: str) -> None:
    """Connect to a database once; MLflow itself would try for an hour."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    try:
        create_engine(os.environ[variable], connect_args={"connect_timeout": CONNECT_SECONDS}).connect().close()
    except ImportError as error:
        raise UserError(f"{variable} is {place}: {error}; install it with maft's extra cluster") from error
    except SQLAlchemyError as error:
        why = str(getattr(error, "orig", error)).strip().replace("\n", " ")
        raise UserError(f"{variable} is {place}, but no connection is possible: {why}") from error


def require_same_stores(home: Home, service: Service, record: StartedProcess) -> None:
    """Refuse a running server that stores elsewhere than the user says; it may be at work for another command.

    Raises:
        UserError: it does.
    """
    for variable, place in environment.named_stores(service.store_variables).items():
        runs_with = record.stores.get(variable, f"its own in {home.path}")
        if runs_with != place:
            raise UserError(
                f"{variable} is {place}, but the {service.title} server of {home.path} runs with {runs_with}; stop it "
                "with `maft down`, or unset the variable"
            )
