"""Explains what is wrong with a config: one line per fault, with its place, the field, the value, and what is right."""

import difflib
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ValidationError

from infra.config.sections import kinds_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_SHOWN_CHARS = 100
"""The length to which an error message shortens a value or an assignment."""

Place = tuple[str, ...]
"""The keys that lead to a field."""


class Origin(NamedTuple):
    """Where the values of a config come from."""

    path: Path | None
    """The YAML file."""
    lines: dict[Place, int]
    """The line of every key in it."""
    assignments: list[str]
    """The arguments of --set, which override the file."""

    def of(self, place: Place) -> str:
        """The last assignment of this field, of a section that it is in, or of a field in it; else the file's line."""
        for assignment in reversed(self.assignments):
            keys = _keys(assignment)
            if keys == place[: len(keys)] or place == keys[: len(place)]:
                return f"--set {short(assignment)}"
        line = next((self.lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in self.lines), None)
        return f"{self.path}, line {line}" if self.path and line else "config"

    def named_in(self, message: str) -> str:
        """The place of a field that a message about the whole config names; one that --set changed comes first."""
        given = [*map(_keys, reversed(self.assignments)), *self.lines]
        named = (keys for keys in given if re.search(rf"(?<![\w.]){re.escape('.'.join(keys))}(?![\w.])", message))
        found = next(named, None)
        return self.of(found) if found else "config"


def explained(model: type[BaseModel], error: ValidationError, origin: Origin) -> str:
    """One line per fault of a config: its place, the field, the value, and what would be right.

    Args:
        model: the class of the config.
        error: what pydantic found wrong.
        origin: where the values come from.
    """
    return "\n".join(_line(model, fault, origin) for fault in error.errors())


def _line(model: type[BaseModel], fault: "ErrorDetails", origin: Origin) -> str:
    place, value, message = _plainly(model, fault)
    field = short(".".join(place))
    if not place:
        return f"{origin.named_in(message)}: {message}"
    if fault["type"] == "missing":
        return f"{origin.of(place[:-1])}: {field} is needed{_needed(model, fault)}"
    if fault["type"] == "extra_forbidden":
        return f"{origin.of(place)}: unknown key {field!r}{_nearest(model, place, _kind(model, fault))}"
    message = f"{message[0].lower()}{message[1:]}"
    if fault["type"] == "value_error" and isinstance(value, dict):
        # The fault is that of a section, and the message names its field.
        return f"{origin.of(place)}: {field}: {message}"
    return f"{origin.of(place)}: {field} is {short(repr(value))}, but {message}"


def _keys(assignment: str) -> Place:
    return tuple(assignment.partition("=")[0].strip().split("."))


def short(text: str) -> str:
    """The text on one line; if it is long, its beginning and the number of characters left out."""
    line = " ".join(text.splitlines())
    left_out = len(line) - MAX_SHOWN_CHARS
    return line if left_out <= 0 else f"{line[:MAX_SHOWN_CHARS]}… ({left_out:,} more characters)"


def _plainly(model: type[BaseModel], fault: "ErrorDetails") -> tuple[Place, Any, str]:
    """The keys that lead to a fault (without the kinds that pydantic adds to them), the value and the message."""
    place = tuple(str(part) for part in fault["loc"])
    section = kinds_of(model, place[0]) if place else None
    if section and fault["type"] == "union_tag_invalid":
        names, tag = section.registry.names(), fault["ctx"]["tag"]
        return (place[0], section.tag), tag, f"input should be {' or '.join(map(repr, names))}{_meant(tag, names)}"
    if section and len(place) > 1:
        place = place[:1] + place[2:]
    return place, fault["input"], _right(fault)


def _right(fault: "ErrorDetails") -> str:
    """What would be right, in words."""
    kind, message = fault["type"], fault["msg"].removeprefix("Value error, ")
    if kind == "too_short":
        return f"needs at least {fault['ctx']['min_length']}"
    if kind == "string_type":
        return "must be text; put it in quotes"
    if kind == "literal_error":
        return message + _meant(str(fault["input"]), re.findall(r"'([^']*)'", fault["ctx"]["expected"]))
    return message


def _meant(given: str, names: Collection[str]) -> str:
    close = difflib.get_close_matches(given, names, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _kind(model: type[BaseModel], fault: "ErrorDetails") -> str | None:
    """The kind of the section that has the fault, such as openai for an engine."""
    place = fault["loc"]
    return str(place[1]) if len(place) > 1 and kinds_of(model, str(place[0])) else None


def _needed(model: type[BaseModel], fault: "ErrorDetails") -> str:
    """Says which kind of a section needs the field, and what the field is."""
    name, *_, field = map(str, fault["loc"])
    section, kind = kinds_of(model, name), _kind(model, fault)
    if section is None or kind is None:
        return ""
    about = section.registry[kind].model_fields[field].description
    return f" where {name}.{section.tag} is {kind}: {about}"


def _nearest(model: type[BaseModel], place: tuple[str, ...], kind: str | None) -> str:
    """Says what may be meant by an unknown key: a key of another kind, a key that moved, or a known key."""
    section = kinds_of(model, place[0])
    if section and kind:
        model = section.registry[kind]
        if having := section.having(place[-1]):
            tag = f"{place[0]}.{section.tag}"
            return f" where {tag} is {kind}; it belongs to {tag} {' or '.join(having)}"
    else:
        for part in place[:-1]:
            inner = model.model_fields[part].annotation if part in model.model_fields else None
            if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
                return ""
            model = inner
        moved = [name for name, info in model.model_fields.items() if place[-1] in _fields_of(info.annotation)]
        if moved:
            return f"; it is now {'.'.join([*place[:-1], moved[0], place[-1]])}"
    known = list(model.model_fields)
    close = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.5)
    prefix = "".join(f"{part}." for part in place[:-1])
    return f"; did you mean {prefix}{close[0]}?" if close else f"; known here: {', '.join(known)}"


def _fields_of(annotation: Any) -> Collection[str]:
    """The names of a section's fields; empty if the annotation is not a section."""
    return annotation.model_fields if isinstance(annotation, type) and issubclass(annotation, BaseModel) else ()
