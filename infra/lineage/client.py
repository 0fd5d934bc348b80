"""The client of the MLflow server, and a call that returns None for something that does not exist.

mlflow is imported inside the functions, since importing any part of it (also `mlflow.tracking` and mlflow-skinny)
loads all of it, which takes 1.6 s; `maft --help` and a fully cached flow should not wait for that.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from mlflow import MlflowClient

P = ParamSpec("P")
T = TypeVar("T")

# Set before mlflow is imported. Otherwise mlflow reports usage to its makers, and for every run that ends it sends two
# more requests and prints two lines.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def client() -> "MlflowClient":
    """A client of the tracking server at MLFLOW_TRACKING_URI."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient()


def find(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Call a method of the client that reads one object; None if the object does not exist or its name is not valid.

    Raises:
        MlflowException: the server could not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        return read(*args, **kwargs)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None
