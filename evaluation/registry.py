"""Registries, to which files add named entries: topologies, engines, training methods, problem sources and others.

    TOPOLOGIES: Registry[Topology] = Registry("topology")

    @TOPOLOGIES.add("ring")                        # in agents/debate/topology.py, or in any plugin
    def ring(index: int, indices: Sequence[int], seed: int) -> list[int]: ...

    TOPOLOGIES["ring"]                             # the function
    TOPOLOGIES.names()                             # ("all-to-all", "ring", "sparse")

    class Settings(BaseModel):
        topology: Annotated[str, OneOf(TOPOLOGIES)] = "all-to-all"

A plugin is a module outside this project that adds entries. The variable MAFT_PLUGINS names it:
`MAFT_PLUGINS=my_topologies,my_sources maft run`. It must be on Python's path (installed, or in a folder of PYTHONPATH).

A settings class with a field like this reads the names when it is defined. So a module that adds entries must not
import a module with such a class at its top (the config is one, `agents.debate.settings` another), except under
TYPE_CHECKING; if it does, the import fails with a message that says so.
"""

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

PLUGINS = "MAFT_PLUGINS"
"""The environment variable with the dotted names of modules that add entries, separated by commas."""

T = TypeVar("T")

_RULE = (
    "a module that adds entries to a registry must import a module that reads the names of one, such as a config, "
    "under TYPE_CHECKING or inside a function"
)


class PluginError(ImportError):
    """A module that MAFT_PLUGINS names cannot be imported."""


class Registry(Generic[T]):
    """Entries of one kind by name: the package's sorted by module, then others in the order they were added."""

    def __init__(self, what: str, package: str | None = None) -> None:
        """Create an empty registry.

        Args:
            what: the kind of entry, for messages, such as topology.
            package: dotted name of the package whose modules add entries. All modules are imported, sorted by name,
                when the registry is first read. A package inside it counts as one module. None to import nothing.
        """
        self.what = what
        self.package = package
        self._entries: dict[str, T] = {}
        self._modules: dict[str, str] = {}
        self._complete = False

    def add(self, name: str) -> Callable[[T], T]:
        """A decorator that adds a function, class or object under `name` and returns it unchanged.

        Raises:
            ValueError: an entry of that name exists already.
        """
        module = str(sys._getframe(1).f_globals["__name__"])

        def added(entry: T) -> T:
            if name in self._entries:
                raise ValueError(
                    f"{module} adds the {self.what} {name!r}, which {self._modules[name]} already added; "
                    "choose another name"
                )
            self._entries[name] = entry
            self._modules[name] = module
            return entry

        return added

    def __getitem__(self, name: str) -> T:
        """The entry of that name.

        Raises:
            ValueError: there is no such entry; the message lists all names.
        """
        self._import_all()
        if name not in self._entries:
            raise ValueError(f"no {self.what} {name!r}; there are: {', '.join(self._entries) or 'none'}")
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """All names, in the order of the entries."""
        self._import_all()
        return tuple(self._entries)

    def items(self) -> tuple[tuple[str, T], ...]:
        """All names with their entries, in the order of `names`."""
        return tuple((name, self[name]) for name in self.names())

    def described(self) -> str:
        """The docstrings of all entries in one line: `ring: the agent before it; sparse: ...`."""
        return "; ".join(f"{name}: {_one_line(self[name].__doc__)}" for name in self.names()) + "."

    def module_of(self, name: str) -> str:
        """Dotted name of the module that added an entry, for the keys of cached results.

        Raises:
            ValueError: there is no entry of that name.
        """
        self[name]
        return self._modules[name]

    def _import_all(self) -> None:
        # A second call during the first does no harm, since a module is imported only once.
        if self._complete:
            return
        if self.package is not None:
            path = importlib.import_module(self.package).__path__
            for module in sorted(module.name for module in pkgutil.iter_modules(path)):
                _import_whole(f"{self.package}.{module}")
        load_plugins()
        # Messages and schemas must not depend on which module was imported first.
        self._entries = dict(sorted(self._entries.items(), key=lambda item: self._place(self._modules[item[0]])))
        self._complete = True

    def _place(self, module: str) -> tuple[bool, str]:
        within = self.package is not None and f"{module}.".startswith(f"{self.package}.")
        return not within, module if within else ""


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def load_plugins() -> None:
    """Import the modules that MAFT_PLUGINS names, in its order; a module is imported only once.

    Raises:
        PluginError: a module does not exist, or fails when imported.
    """
    for name in filter(None, map(str.strip, os.environ.get(PLUGINS, "").split(","))):
        try:
            _import_whole(name)
        except PluginError:
            raise
        except Exception as error:
            rule = f"; {_RULE}" if "circular import" in str(error) else ""
            raise PluginError(f"{PLUGINS} names {name}, which cannot be imported: {error}{rule}") from error


def _import_whole(name: str) -> None:
    module = importlib.import_module(name)
    # A module that is still being imported has not added its entries yet, so a registry read now would lack them.
    if getattr(module.__spec__, "_initializing", False):
        raise ImportError(f"{name} imports a module that reads a registry before {name} has added to it; {_RULE}")


class _Named(Protocol):
    def names(self) -> tuple[str, ...]: ...
    def module_of(self, name: str) -> str: ...


@runtime_checkable
class NamesModule(Protocol):
    """Metadata of a text field that names code: a result depends on the module of the code."""

    def module_of(self, name: str) -> str:
        """Dotted name of the module."""
        ...


class OneOf:
    """Makes a `str` field of a pydantic model accept only the names of a registry, like a Literal.

    `Annotated[str, OneOf(TOPOLOGIES)]` refuses other names with "Input should be 'all-to-all', 'ring' or 'sparse'", and
    its JSON schema has the names as `enum`. The names are read when the model's class is defined.
    """

    def __init__(self, registry: _Named) -> None:
        self.registry = registry

    def module_of(self, name: str) -> str:
        """The module that added the entry."""
        return self.registry.module_of(name)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of a Literal of the names."""
        return core_schema.literal_schema([*self.registry.names()])
