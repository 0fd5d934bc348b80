"""Reads a config from a YAML file and from `--set key.path=value`; its errors name the line and the field."""

import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from infra.config.faults import Origin, explained, short
from infra.config.job import Config
from infra.config.sections import kinds_of, material, section_of
from infra.config.tree import leaves
from infra.errors import UserError

MAX_CONFIG_BYTES = 1_000_000

_QUOTES = "a text with `: ` in it, or with { or [ in front, needs quotes"

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
        _assign(tree, assignment, model)
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise UserError(explained(model, error, Origin(path, lines, assignments))) from error


def assignments(config: BaseModel) -> list[str]:
    """The assignments, KEY.PATH=VALUE, from which `load` makes the same config without a file.

    Fields with their default value and fields that change no result are left out.
    """
    own, usual = (leaves(material(each)) for each in (config, type(config)()))
    # JSON is also YAML. A text such as "true" or "12" is quoted, so that YAML does not read it as another type.
    return [
        f"{key}={value if isinstance(value, str) and _is_plain(value) else json.dumps(value)}"
        for key, value in own.items()
        if key not in usual or usual[key] != value
    ]


def _is_plain(text: str) -> bool:
    try:
        return bool(yaml.safe_load(text) == text)
    except yaml.YAMLError:
        return False


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
        raise UserError(f"{path}, line {line}: not valid YAML: {error.problem}; {_QUOTES}") from error
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


def _assign(tree: dict[str, Any], assignment: str, model: type[BaseModel]) -> None:
    """Set `key.path=value` in the tree; the value is read as YAML, or as it is if the field takes nothing but text."""
    path, equals, text = assignment.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set {short(assignment)}: expected key.path=value, such as finetune.rank=8")
    inner = tree
    for depth, key in enumerate(keys[:-1]):
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            section = short(".".join(keys[: depth + 1]))
            raise UserError(f"--set {short(assignment)}: {section} is a value, not a section")
    if _takes_only_text(model, keys) and not _is_quoted_or_none(text):
        inner[keys[-1]] = text.strip()
        return
    try:
        inner[keys[-1]] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        key = short(".".join(keys))
        raise UserError(
            f"--set {short(assignment)}: the value is not valid YAML; put a text in quotes: --set '{key}=\"...\"'"
        ) from error


def _is_quoted_or_none(text: str) -> bool:
    """Whether the value of a text field is to be read as YAML."""
    if text.strip().lower() in ("", "~", "null"):
        return True
    try:
        return text.strip()[0] in "\"'|>" and isinstance(yaml.safe_load(text), str)
    except yaml.YAMLError:
        return False


def _takes_only_text(model: type[BaseModel], keys: list[str]) -> bool:
    """Whether a field is a text, or none; one of a section of several kinds must be so in all kinds that have it."""
    *sections, name = keys
    models = [model]
    for section in sections:
        models = [inner for each in models for inner in _sections(each, section)]
    fields = [each.model_fields[name].annotation for each in models if name in each.model_fields]
    return bool(fields) and all(map(_is_text, fields))


def _sections(model: type[BaseModel], name: str) -> list[type[BaseModel]]:
    """The settings that a section of this name may have."""
    if several := kinds_of(model, name):
        return [several.registry[kind] for kind in several.registry.names()]
    found = section_of(model.model_fields[name].annotation) if name in model.model_fields else None
    return [found] if found else []


def _is_text(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return _is_text(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return all(_is_text(each) for each in get_args(annotation) if each is not NoneType)
    return annotation is str
