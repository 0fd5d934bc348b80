"""Sources of problems, a file each in `evaluation.problems.sources` or in a plugin (`evaluation.registry`).

A source has a name by which a config calls it: `arithmetic`, `train.jsonl`, `hub:openai/gsm8k:main:train`. Each kind of
source says which names are its own, and either lists the rows behind a name or generates problems without end:

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
"""Fields of a problem as it is published, see `evaluation.problems.files`."""

FALLBACK = "file"
"""The source to which names belong that no other one owns."""


def every_name(name: str) -> bool:
    """Owns all names; of the fallback."""
    return True


def same_name(name: str) -> object:
    """Names mean the same source only if they are equal."""
    return name


@dataclass(frozen=True)
class ListedSource:
    """Problems that are listed somewhere: a file, a data set."""

    about: str
    """Its names in words, for the config's descriptions and for messages: `the path of a .jsonl file`."""
    owns: Callable[[str], bool]
    """Whether a name is one of this source's."""
    rows: Callable[[str], Iterable[tuple[str, Row]]]
    """All rows behind a name, in their order, each after where it is, such as FILE:LINE. Raises ProblemFileError."""
    mendable: bool = False
    """Whether the user can change the rows. If so, a question that is there twice, or held out too, is refused; else it
    is left out with a warning."""
    identity: Callable[[str], object] = same_name
    """Two names with the same identity mean the same problems: two paths of one file."""


@dataclass(frozen=True)
class GeneratedSource:
    """Problems that are made up from a seed. Training has the even ones of one stream, evaluation the odd ones."""

    about: str
    """As of ListedSource."""
    owns: Callable[[str], bool]
    """As of ListedSource."""
    stream: Callable[[int, int, int], Iterator[Problem]]
    """Distinct problems without end, by seed, largest value, and a value that one of each problem is greater than."""
    available: Callable[[int], int]
    """How many problems of the stream there are, or a low estimate, by the largest value; 0 for 0."""


Source = ListedSource | GeneratedSource

SOURCES: Registry[Source] = Registry("source of problems", package="evaluation.problems.sources")


def source_of(name: str) -> Source:
    """The source that owns a name."""
    others = (SOURCES[kind] for kind in SOURCES.names() if kind != FALLBACK)
    return next((source for source in others if source.owns(name)), SOURCES[FALLBACK])


def forms() -> str:
    """What a source may be called, in words: arithmetic, for generated problems, the path of ..., or ...."""
    *others, last = (SOURCES[kind].about for kind in SOURCES.names())
    return f"{', '.join(others)}, or {last}"
