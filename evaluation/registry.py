"""Named entries that a file adds by itself: topologies, engines, training methods, problem sources, benchmark methods.

    TOPOLOGIES: Registry[Topology] = Registry("topology", package="agents.debate.topologies")

    @TOPOLOGIES.add("ring")                        # in agents/debate/topologies/ring.py, or in any plugin
    def ring(reader: int, agents: int) -> list[int]: ...

    TOPOLOGIES["ring"]                             # the function
    TOPOLOGIES.names()                             # ("all-to-all", "ring", "sparse")

    class Settings(BaseModel):
        topology: Annotated[str, OneOf(TOPOLOGIES)] = "all-to-all"

A plugin is a module outside this project that adds entries. MAFT_PLUGINS names it, so nothing here is edited:
`MAFT_PLUGINS=my_topologies,my_sources maft run`. It must be on Python's path (installed, or in a folder of PYTHONPATH).

Names are asked for when a settings class is made. So a module that adds entries may import no module with such a class,
except under TYPE_CHECKING; where one does, the import fails and says so.
"""

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

PLUGINS = "MAFT_PLUGINS"
"""The environment variable with the dotted names of modules that add entries, separated by commas."""

T = TypeVar("T")


class PluginError(ImportError):
    """A module that MAFT_PLUGINS names cannot be imported."""


class Registry(Generic[T]):
    """Entries of one kind by name: those of the package by module, then others in the order in which they are added."""

    def __init__(self, what: str, package: str | None = None) -> None:
        """No entries yet.

        Args:
            what: the kind of entry in a word or two, for messages, such as topology.
            package: dotted name of the package whose modules add entries; all of them are imported, by name, when the
                registry is first read. A package inside it counts as one module. None if nothing is to be imported.
        """
        self.what = what
        self.package = package
        self._entries: dict[str, T] = {}
        self._modules: dict[str, str] = {}
        self._complete = False

    def add(self, name: str) -> Callable[[T], T]:
        """A decorator that adds a function, class or object under `name` and returns it as it is.

        Raises:
            ValueError: there is an entry of that name.
        """
        module = str(sys._getframe(1).f_globals["__name__"])

        def added(entry: T) -> T:
            if name in self._entries:
                raise ValueError(
                    f"{module} adds the {self.what} {name!r}, which {self._modules[name]} has added; take another name"
                )
            self._entries[name] = entry
            self._modules[name] = module
            return entry

        return added

    def __getitem__(self, name: str) -> T:
        """The entry of that name.

        Raises:
            ValueError: there is none; the message lists those that there are.
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
        """All names with their entries, in their order."""
        return tuple((name, self[name]) for name in self.names())

    def described(self) -> str:
        """What each entry is, by its docstring: `ring: the agent before it; sparse: ...`."""
        return "; ".join(f"{name}: {_one_line(self[name].__doc__)}" for name in self.names()) + "."

    def module_of(self, name: str) -> str:
        """Dotted name of the module that added an entry, for the keys of cached results.

        Raises:
            ValueError: there is none of that name.
        """
        self[name]
        return self._modules[name]

    def _import_all(self) -> None:
        # A second call in the midst of the first does no harm, since a module is imported once.
        if self._complete:
            return
        if self.package is not None:
            path = importlib.import_module(self.package).__path__
            for module in sorted(module.name for module in pkgutil.iter_modules(path)):
                _import_whole(f"{self.package}.{module}")
        load_plugins()
        # Which module somebody happened to import first must not show in messages and schemas.
        self._entries = dict(sorted(self._entries.items(), key=lambda item: self._place(self._modules[item[0]])))
        self._complete = True

    def _place(self, module: str) -> tuple[bool, str]:
        within = self.package is not None and f"{module}.".startswith(f"{self.package}.")
        return not within, module if within else ""


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def load_plugins() -> None:
    """Import the modules that MAFT_PLUGINS names, in its order; what was imported before is not imported again.

    Raises:
        PluginError: a module is not there, or fails when imported.
    """
    for name in filter(None, map(str.strip, os.environ.get(PLUGINS, "").split(","))):
        try:
            _import_whole(name)
        except Exception as error:
            raise PluginError(f"{PLUGINS} names {name}, which cannot be imported: {error}") from error


def _import_whole(name: str) -> None:
    module = importlib.import_module(name)
    # A module that is being imported has not added its entries yet, and whoever asks now would never see them.
    if getattr(module.__spec__, "_initializing", False):
        raise ImportError(
            f"{name} adds entries to a registry, but imports a module that reads one at once; "
            "import that module under TYPE_CHECKING or inside a function"
        )


class _Named(Protocol):
    def names(self) -> tuple[str, ...]: ...
    def module_of(self, name: str) -> str: ...


class OneOf:
    """Makes a `str` field of a pydantic model take the names of a registry, as a Literal of them would.

    `Annotated[str, OneOf(TOPOLOGIES)]` refuses others with "Input should be 'all-to-all', 'ring' or 'sparse'" and has
    these as the `enum` of its JSON schema. The names are those that there are when the model's class is made.
    """

    def __init__(self, registry: _Named) -> None:
        self.registry = registry

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of a Literal of the names."""
        return core_schema.literal_schema([*self.registry.names()])
