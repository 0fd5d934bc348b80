"""A user's own grader: any class with the methods `extract` and `equivalent`.

    answers:
      kind: custom
      grader: my_graders:Runs          # class Runs in my_graders.py, on Python's path (PYTHONPATH=.)
      options: {seconds: 2}            # given to the class by name: Runs(seconds=2)

Cached results depend on the code of the module, and a served model contains it. Modules that this one imports in turn
are neither: put what decides an answer into one file, or into one package.
"""

import importlib
import importlib.util
import json
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Protocol, TypeVar

from pydantic import Field, JsonValue, field_validator, model_validator

from evaluation.answers.grader import GRADERS, Grader, GraderError

R = TypeVar("R")

SHOWN_CHARS = 60
"""The length to which an error message shortens a response."""


class OwnGrader(Protocol):
    """What a user's class needs. A method `fault(reference)`, as in `Grader`, is optional."""

    def extract(self, text: str) -> str | None:
        """The answer in a response; None if there is none."""
        ...

    def equivalent(self, a: str, b: str) -> bool:
        """Whether two answers are the same; it must be an equivalence relation."""
        ...


class OfModule:
    """Marks a text MODULE:CLASS, so that a cached result depends on the code of the module."""

    def module_of(self, name: str) -> str:
        """The module of a text MODULE:CLASS."""
        return name.partition(":")[0]


@GRADERS.add("custom")
class Custom(Grader):
    """A user's own class."""

    kind: Literal["custom"] = Field(default="custom", title="Kind", description="a class of your own.")
    grader: Annotated[str, OfModule()] = Field(
        title="Grader",
        description="MODULE:CLASS with the methods extract(text) and equivalent(a, b); the module must be on Python's "
        "path, for example in a folder of PYTHONPATH.",
    )
    options: dict[str, JsonValue] = Field(default={}, title="Options", description="Arguments of the class, by name.")

    @field_validator("grader")
    @classmethod
    def _exists(cls, grader: str) -> str:
        _class(grader)
        return grader

    @model_validator(mode="after")
    def _takes_the_options(self) -> "Custom":
        self._own()
        return self

    def extract(self, text: str) -> str | None:
        """The answer that the user's class finds.

        Raises:
            GraderError: it raised an error, or found something else than text or None.
        """
        answer = self._call(self._own().extract, text)
        if answer is not None and not isinstance(answer, str):
            kind = type(answer).__name__
            raise GraderError(f"grader {self.grader} returned {kind} from extract; it must return text or None")
        return answer

    def equivalent(self, a: str | None, b: str | None) -> bool:
        """Whether the user's class finds two answers the same.

        Raises:
            GraderError: it raised an error.
        """
        return a is not None and b is not None and bool(self._call(self._own().equivalent, a, b))

    def fault(self, reference: str) -> str | None:
        """What the user's class finds wrong with a reference, if it has such a method.

        Raises:
            GraderError: it raised an error.
        """
        own: Callable[[str], str | None] | None = getattr(self._own(), "fault", None)
        return self._call(own, reference) if own else None

    def code(self) -> list[Path]:
        """The file of the module, or the folder of its outermost package."""
        outermost = self.grader.partition(":")[0].partition(".")[0]
        spec = importlib.util.find_spec(outermost)
        origin = Path(str(spec.origin)) if spec and spec.origin else None
        if origin is None:
            return []
        return [origin.parent if origin.name == "__init__.py" else origin]

    def _call(self, method: Callable[..., R], *texts: str) -> R:
        try:
            return method(*texts)
        except Exception as error:
            on = " and ".join(repr(text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}...") for text in texts)
            what = " ".join(f"{type(error).__name__}: {error}".split())
            raise GraderError(f"grader {self.grader} raised {what} in {method.__name__} on {on}") from error

    def _own(self) -> OwnGrader:
        return _instance(self.grader, json.dumps(self.options, sort_keys=True))


@lru_cache(maxsize=64)
def _instance(name: str, options: str) -> OwnGrader:
    """The user's object.

    Raises:
        ValueError: see `_class`, or the class does not take the options.
    """
    try:
        made: OwnGrader = _class(name)(**json.loads(options))
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"{name} does not take the options {options} ({what})") from error
    return made


def _class(name: str) -> Callable[..., OwnGrader]:
    """The user's class.

    Raises:
        ValueError: the name is not MODULE:CLASS, there is no such module or class, or it lacks a method.
    """
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name):
        raise ValueError("needs MODULE:CLASS, such as my_graders:Parity")
    module_name, _, class_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(
            f"the module {module_name} cannot be imported ({error}); put its folder into PYTHONPATH"
        ) from error
    except Exception as error:
        raise ValueError(f"the module {module_name} fails on import ({type(error).__name__}: {error})") from error
    own: Callable[..., OwnGrader] | None = getattr(module, class_name, None)
    if own is None:
        raise ValueError(f"the module {module_name} has no class {class_name}")
    lacking = [method for method in ("extract", "equivalent") if not callable(getattr(own, method, None))]
    if lacking:
        raise ValueError(f"{name} has no method {' and '.join(lacking)}")
    return own
