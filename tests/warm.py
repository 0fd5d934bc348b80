"""Uses libraries once, so that every fork of the process that imported them has what each finds out at its first use.

MLflow reads the metadata of all installed packages, twice; matplotlib looks for fonts. If MLflow renames the two
functions, the tests are only slower.
"""

from io import BytesIO

from matplotlib.figure import Figure
from mlflow.tracking._model_registry.utils import _get_store_registry
from mlflow.utils.requirements_utils import _init_packages_to_modules_map

_get_store_registry()
_init_packages_to_modules_map()
figure = Figure()
figure.subplots().set_title("warm")
figure.savefig(BytesIO())
