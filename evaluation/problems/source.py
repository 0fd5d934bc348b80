"""Sources of problems. Each is a file in `evaluation.problems.sources` or in a plugin (`evaluation.registry`).

A config names a source: `arithmetic`, `train.jsonl`, `hub:openai/gsm8k:main:train`. Each kind
of source says which names it owns, and either lists the rows behind a name or generates endless problems:

    def squares(name: str) -> Iterator[tuple[str, Row]]:
        for n in range(int(name.removeprefix("squares:"))):
            yield f"{name}:{n}", {"question": f"What is {n} squared?", "answer": n * n}

    def owns(name: str) -> bool:
        return name.startswith("squares:")

    SOURCES.add("squares")(ListedSource(about="squares:N, the first N squares", owns=owns, rows=squares))
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from evaluation.problems.problem import Problem
from evaluation.registry import Registry

Row = dict[str, object]
"""The fields of a problem as published, see `evaluation.problems.files`."""

FALLBACK = "file"
"""The source that owns all names that no other source owns."""


def every_name(name: str) -> bool:
    """True: the fallback source owns every name."""
    return True


def same_name(name: str) -> object:
    """The default `identity`: two names mean the same problems only if they are equal."""
    return name


@dataclass(frozen=True)
class ListedSource:
    """Problems that are listed in a file or a data set."""

    about: str
    """Its names in words, for descriptions and messages, such as `the path of a .jsonl file`."""
    owns: Callable[[str], bool]
    """Whether a name is one of this source's."""
    rows: Callable[[str], Iterable[tuple[str, Row]]]
    """All rows behind a name, in order: pairs of a place, such as FILE:LINE, and a row. Raises ProblemFileError."""
    mendable: bool = False
    """Whether the user can edit the rows. If so, a question that is there twice, or is also held out, is refused; if
    not, it is left out with a warning."""
    identity: Callable[[str], object] = same_name
    """Two names with the same identity mean the same problems, such as two paths of one file."""
    absolute: Callable[[str], str] = str
    """A name of the same problems for a program that runs in another folder: a relative path in it becomes absolute."""


@dataclass(frozen=True)
class GeneratedSource:
    """Problems generated from a seed. Training gets the even problems of a stream, evaluation the odd ones."""

    about: str
    """As in ListedSource."""
    owns: Callable[[str], bool]
    """As in ListedSource."""
    stream: Callable[[int, int, int], Iterator[Problem]]
    """Endless distinct problems, by seed, largest value, and a bound that at least one value of each exceeds."""
    available: Callable[[int], int]
    """Number of problems in the stream for a largest value, or a low estimate; 0 for 0."""


Source = ListedSource | GeneratedSource

SOURCES: Registry[Source] = Registry("source of problems", package="evaluation.problems.sources")


def source_of(name: str) -> Source:
    """The source that owns a name."""
    others = (SOURCES[kind] for kind in SOURCES.names() if kind != FALLBACK)
    return next((source for source in others if source.owns(name)), SOURCES[FALLBACK])


def forms() -> str:
    """All forms of a source's name, in words: arithmetic, for generated problems, the path of ..., or ...."""
    *others, last = (SOURCES[kind].about for kind in SOURCES.names())
    return f"{', '.join(others)}, or {last}"
