"""Explains what is wrong with a config: one line per fault, with its place, the field, the value, and what is right."""

import difflib
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ValidationError

from infra.config.sections import Kinds, kinds_of, section_of

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
    faults = error.errors()
    # A list with a wrong element lacks this element, so pydantic may find it too short as well.
    inner = {fault["loc"][:-1] for fault in faults}
    faults = [fault for fault in faults if fault["type"] != "too_short" or fault["loc"] not in inner]
    return "\n".join(_line(model, fault, origin) for fault in faults)


def _line(model: type[BaseModel], fault: "ErrorDetails", origin: Origin) -> str:
    at = _found(model, fault["loc"])
    place, value, message = _plainly(at, fault)
    field = short(".".join(place))
    if not place:
        return f"{origin.named_in(message)}: {message}"
    if fault["type"] == "missing":
        return f"{origin.of(place[:-1])}: {field} is needed{_needed(at)}"
    if fault["type"] == "extra_forbidden":
        return f"{origin.of(place)}: unknown key {field!r}{_nearest(at)}"
    message = f"{message[0].lower()}{message[1:]}"
    if fault["type"] == "value_error" and isinstance(value, dict):
        # The fault is that of a section, and the message names its field, as if the section were an outer one.
        message = re.sub(rf"(?<![\w.]){place[-1]}\.", f"{field}.", message)
        return f"{origin.of(place)}: {field}: {message}"
    return f"{origin.of(place)}: {field} is {'null' if value is None else short(repr(value))}, but {message}"


class _Section(NamedTuple):
    """A section that may have several kinds."""

    place: Place
    kinds: Kinds
    kind: str | None
    """The kind that it has; None if it names none that there is."""

    @property
    def tag(self) -> str:
        """The field that names the kind, such as engine.name."""
        return ".".join([*self.place, self.kinds.tag])


class _At(NamedTuple):
    """Where a fault is."""

    place: Place
    owner: type[BaseModel] | None
    """The settings that have, or lack, the field; None if they are not known."""
    section: _Section | None
    """The innermost section of several kinds that the fault is in."""


def _found(model: type[BaseModel], loc: Sequence[int | str]) -> _At:
    """The place of a fault, without the kinds that pydantic adds to it."""
    place: Place = ()
    inner: type[BaseModel] | None = model
    owner, section = inner, None
    parts = [str(part) for part in loc]
    while parts:
        owner, name = inner, parts.pop(0)
        place = (*place, name)
        several = kinds_of(owner, name) if owner else None
        if several:
            kind = parts.pop(0) if parts else None
            section = _Section(place, several, kind)
            inner = several.registry[kind] if kind in several.registry.names() else None
        else:
            info = owner.model_fields.get(name) if owner else None
            inner = section_of(info.annotation) if info else None
    return _At(place, owner, section)


def _keys(assignment: str) -> Place:
    return tuple(assignment.partition("=")[0].strip().split("."))


def short(text: str) -> str:
    """The text on one line; if it is long, its beginning and the number of characters left out."""
    line = " ".join(text.splitlines())
    left_out = len(line) - MAX_SHOWN_CHARS
    return line if left_out <= 0 else f"{line[:MAX_SHOWN_CHARS]}… ({left_out:,} more characters)"


def _plainly(at: _At, fault: "ErrorDetails") -> tuple[Place, Any, str]:
    """The keys that lead to a fault, the value and the message."""
    if at.section and fault["type"] == "union_tag_invalid":
        names, tag = at.section.kinds.registry.names(), fault["ctx"]["tag"]
        right = f"input should be {' or '.join(map(repr, names))}{_meant(tag, names)}"
        return (*at.section.place, at.section.kinds.tag), tag, right
    return at.place, fault["input"], _right(fault)


def _right(fault: "ErrorDetails") -> str:
    """What would be right, in words."""
    kind, message = fault["type"], fault["msg"].removeprefix("Value error, ")
    if kind == "too_short":
        return f"needs at least {fault['ctx']['min_length']}"
    if kind in {"tuple_type", "list_type"}:
        return "must be a list, such as [a, b]"
    if kind == "model_type":
        return "must be a section with fields of its own"
    if kind == "string_type":
        return "must be text" if fault["input"] is None else "must be text; put it in quotes"
    if kind == "literal_error":
        return message + _meant(str(fault["input"]), re.findall(r"'([^']*)'", fault["ctx"]["expected"]))
    return message


def _meant(given: str, names: Collection[str]) -> str:
    close = difflib.get_close_matches(given, names, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _needed(at: _At) -> str:
    """Says which kind of a section needs the field, and what the field is."""
    info = at.owner.model_fields.get(at.place[-1]) if at.owner else None
    about = f": {info.description}" if info and info.description else ""
    if at.section and at.section.kind and at.section.place == at.place[:-1]:
        return f" where {at.section.tag} is {at.section.kind}{about}"
    return about


def _nearest(at: _At) -> str:
    """Says what may be meant by an unknown key: a key of another kind, a key that moved, or a known key."""
    if at.owner is None:
        return ""
    name, fields = at.place[-1], at.owner.model_fields
    if at.section and at.section.place == at.place[:-1]:
        if having := at.section.kinds.having(name):
            tag = at.section.tag
            return f" where {tag} is {at.section.kind}; it belongs to {tag} {' or '.join(having)}"
    elif moved := [known for known, info in fields.items() if name in _fields_of(info.annotation)]:
        return f"; it is now {'.'.join([*at.place[:-1], moved[0], name])}"
    close = difflib.get_close_matches(name, list(fields), n=1, cutoff=0.5)
    prefix = "".join(f"{part}." for part in at.place[:-1])
    return f"; did you mean {prefix}{close[0]}?" if close else f"; known here: {', '.join(fields)}"


def _fields_of(annotation: Any) -> Collection[str]:
    """The names of a section's fields; empty if the annotation is not a section."""
    section = section_of(annotation)
    return section.model_fields if section else ()
