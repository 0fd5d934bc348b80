"""Uses libraries once, so that every fork of the process that imported them has what each finds out at its first use.

MLflow reads the metadata of all installed packages, twice; matplotlib looks for fonts. The two functions are MLflow's
own, so an update of MLflow may need a change here.

A fork shares the memory of this process until one of both writes to it. The garbage collector would write to all
objects of the libraries, so it is told to leave them out; a small job then takes 12 % less processor time.
"""

import gc
from io import BytesIO

from matplotlib.figure import Figure
from mlflow.tracking._model_registry.utils import _get_store_registry
from mlflow.utils.requirements_utils import _init_packages_to_modules_map

_get_store_registry()
_init_packages_to_modules_map()
figure = Figure()
figure.subplots().set_title("warm")
figure.savefig(BytesIO())
gc.collect()
gc.freeze()
