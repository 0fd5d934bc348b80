"""Reads a config from a YAML file and from `--set key.path=value`; its errors name the line and the field."""

import difflib
import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from infra.config.job import Config
from infra.config.sections import kinds_of, material
from infra.config.tree import leaves
from infra.errors import UserError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_CONFIG_BYTES = 1_000_000
MAX_SHOWN_CHARS = 100
"""The length to which an error message shortens a value or an assignment."""


T = TypeVar("T", bound=BaseModel)


def load_config(path: Path | None, assignments: list[str]) -> Config:
    """Read the config of a job.

    Args:
        path: a YAML file; None for the defaults.
        assignments: such as `finetune.rank=8`; they override the file.

    Raises:
        UserError: the config is wrong; the message names the file and line, or the assignment, and what would be right.
    """
    return load(Config, path, assignments)


def load(model: type[T], path: Path | None, assignments: list[str]) -> T:
    """Do the same as `load_config` for any tree of settings.

    Raises:
        UserError: as in `load_config`.
    """
    tree, lines = _read(path) if path else ({}, {})
    for assignment in assignments:
        _assign(tree, assignment)
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise UserError(_explained(model, error, path, lines, assignments)) from error


def assignments(config: BaseModel) -> list[str]:
    """The assignments, KEY.PATH=VALUE, from which `load` makes the same config without a file.

    Fields with their default value and fields that change no result are left out.
    """
    own, usual = (leaves(material(each)) for each in (config, type(config)()))
    # JSON is also YAML. A text such as "true" or "12" is quoted, so that YAML does not read it as another type.
    return [
        f"{key}={value if isinstance(value, str) and yaml.safe_load(value) == value else json.dumps(value)}"
        for key, value in own.items()
        if key not in usual or usual[key] != value
    ]


def _read(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """The file's tree, and the line of every key in it."""
    if not path.is_file():
        raise UserError(f"{path}: no such config file; name a YAML file, or no file for the defaults")
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise UserError(f"{path}: larger than {MAX_CONFIG_BYTES} bytes; this is not a config file")
    try:
        text = path.read_text("utf-8")
        tree = yaml.safe_load(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}, line {line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
    if tree is None:
        return {}, {}
    if not isinstance(tree, dict):
        raise UserError(f"{path}, line 1: expected `key: value` lines, got a {type(tree).__name__}")
    lines: dict[tuple[str, ...], int] = {}
    _note_lines(node, (), lines)
    return tree, lines


def _note_lines(node: yaml.Node | None, place: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            lines[(*place, str(key.value))] = key.start_mark.line + 1
            _note_lines(value, (*place, str(key.value)), lines)


def _assign(tree: dict[str, Any], assignment: str) -> None:
    """Set `key.path=value` in the tree; the value is read as YAML."""
    path, equals, text = assignment.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set {_short(assignment)}: expected key.path=value, such as finetune.rank=8")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {_short(assignment)}: the value is not valid YAML") from error
    for depth, key in enumerate(keys[:-1]):
        inner = tree.setdefault(key, {})
        if not isinstance(inner, dict):
            section = _short(".".join(keys[: depth + 1]))
            raise UserError(f"--set {_short(assignment)}: {section} is a value, not a section")
        tree = inner
    tree[keys[-1]] = value


def _explained(
    model: type[BaseModel],
    error: ValidationError,
    path: Path | None,
    lines: dict[tuple[str, ...], int],
    assignments: list[str],
) -> str:
    """One line per fault: its place, the field, the value, and what would be right."""
    faults = []
    for fault in error.errors():
        place, value, message = _plainly(model, fault)
        set_here = [a for a in assignments if a.partition("=")[0].strip() == ".".join(place)]
        field = _short(".".join(place))
        line = next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), None)
        where = f"--set {_short(set_here[-1])}" if set_here else f"{path}, line {line}" if path and line else "config"
        if fault["type"] == "extra_forbidden":
            faults.append(f"{where}: unknown key {field!r}{_nearest(model, place, _kind(model, fault))}")
        elif fault["type"] == "missing":
            faults.append(f"{where}: {field} is needed{_needed(model, fault)}")
        elif not place:
            faults.append(f"{where}: {message}")
        else:
            faults.append(f"{where}: {field} is {_short(repr(value))}, but {message[0].lower()}{message[1:]}")
    return "\n".join(faults)


def _short(text: str) -> str:
    """The text on one line; if it is long, its beginning and the number of characters left out."""
    line = " ".join(text.splitlines())
    left_out = len(line) - MAX_SHOWN_CHARS
    return line if left_out <= 0 else f"{line[:MAX_SHOWN_CHARS]}… ({left_out:,} more characters)"


def _plainly(model: type[BaseModel], fault: "ErrorDetails") -> tuple[tuple[str, ...], Any, str]:
    """The keys that lead to a fault (without the kinds that pydantic adds to them), the value and the message."""
    place = tuple(str(part) for part in fault["loc"])
    section = kinds_of(model, place[0]) if place else None
    if section and fault["type"] == "union_tag_invalid":
        names = " or ".join(map(repr, section.registry.names()))
        return (place[0], section.tag), fault["ctx"]["tag"], f"input should be {names}"
    if section and len(place) > 1:
        place = place[:1] + place[2:]
    return place, fault["input"], fault["msg"].removeprefix("Value error, ")


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
