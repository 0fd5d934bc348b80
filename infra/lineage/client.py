"""The client of the MLflow server, and asking it for something that may not be there.

mlflow is imported inside the functions: whichever door one takes (`mlflow`, `mlflow.tracking`, mlflow-skinny), its
`__init__` loads everything, about 1.6 s, which `maft --help` and a fully cached flow should not wait for.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from mlflow import MlflowClient

P = ParamSpec("P")
T = TypeVar("T")

# Set before mlflow is imported: it would otherwise report usage to its makers, and print two lines (at the price of
# two more requests) for every run it ends.
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
    """Call a method of the client that reads one thing; None if that is not there, or if no thing can have this name.

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
