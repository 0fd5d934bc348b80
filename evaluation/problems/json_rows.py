"""Reads rows from JSON and JSON Lines, and writes a value of one. Numbers are kept as they are written.

Errors name the line.
"""

import json
import re
from collections.abc import Iterator

from evaluation.problems.problem import ProblemFileError
from evaluation.problems.source import Row


class Written(str):
    """A number as it is written in JSON, so that 1.50 and integers of any length are kept as answers."""


def kind(value: object) -> str:
    """The type of a value in words, for a message."""
    names = {bool: "true or false", str: "text", Written: "text", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


MAX_DEPTH = 20
"""Levels of objects and lists within each other in an answer."""


def canonical(value: object, depth: int = MAX_DEPTH) -> str:
    """A value as JSON with sorted keys and without spaces; numbers as they are written.

    Raises:
        ValueError: the value, or one within it, is no JSON, or there are more than `depth` levels.
    """
    if isinstance(value, dict | list) and not depth:
        raise ValueError(f"more than {MAX_DEPTH} levels of objects and lists")
    if isinstance(value, Written):
        return str(value)
    if isinstance(value, dict):
        named = sorted((str(name), canonical(each, depth - 1)) for name, each in value.items())
        return f"{{{','.join(f'{json.dumps(name, ensure_ascii=False)}:{each}' for name, each in named)}}}"
    if isinstance(value, list):
        return f"[{','.join(canonical(each, depth - 1) for each in value)}]"
    if value is None or isinstance(value, str | int | float):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    raise ValueError(f"{kind(value)} is not JSON")


_JSON = json.JSONDecoder(parse_int=Written, parse_float=Written, parse_constant=_refuse_constant)
_SPACE = re.compile(r"[ \t\r\n]*")
_WHOLE_JSON = "the file must be one array of objects, or one object"


def _object(value: object, where: str) -> Row:
    if not isinstance(value, dict):
        raise ProblemFileError(f'{where}: {kind(value)}, not an object such as {{"question": ..., "answer": ...}}')
    return value


def jsonl_rows(path: str, text: str) -> Iterator[tuple[str, Row]]:
    """The rows of JSON Lines: an object per line; empty lines are skipped. The place is PATH:LINE.

    Raises:
        ProblemFileError: a line is no JSON or no object.
    """
    # Not splitlines(), which also splits at characters that JSON leaves unescaped within a string.
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            value = _JSON.decode(line)
        except (ValueError, RecursionError) as error:
            raise ProblemFileError(f"{where}: not JSON ({error}); each line must be one whole object") from error
        yield where, _object(value, where)


def json_rows(path: str, text: str) -> Iterator[tuple[str, Row]]:
    """The rows of a JSON text, each with its place, PATH:LINE.

    The text is an array of objects; an object with one key that holds such an array (then the place is PATH:item N);
    an object that is a single problem; or JSON Lines.

    Raises:
        ProblemFileError: the text is none of these.
    """
    start = _after_space(text, 0)
    if start == len(text):
        return
    if text[start] == "[":
        yield from _rows_of_array(path, text, start + 1)
        return
    value, end = _next_value(path, text, start)
    rest = _after_space(text, end)
    if rest < len(text) and text[rest] == "{":
        # Some data sets name JSON Lines .json, such as AQuA.
        yield from jsonl_rows(path, text)
        return
    if rest < len(text):
        raise _not_one_value(path, text, rest)
    where = f"{path}:{_line(text, start)}"
    row = _object(value, where)
    inside = next(iter(row.values())) if len(row) == 1 else None
    if not isinstance(inside, list):
        yield where, row
        return
    for number, item in enumerate(inside, start=1):
        yield f"{path}:item {number}", _object(item, f"{path}:item {number}")


def _rows_of_array(path: str, text: str, place: int) -> Iterator[tuple[str, Row]]:
    """The items of an array whose first character is at `place`; a loop, since only this tells the line of an item."""
    line, counted = 1, 0
    place = _after_space(text, place)
    closed = text[place : place + 1] == "]"
    while not closed:
        line, counted = line + text.count("\n", counted, place), place
        value, place = _next_value(path, text, place)
        yield f"{path}:{line}", _object(value, f"{path}:{line}")
        place = _after_space(text, place)
        closed = text[place : place + 1] == "]"
        if not closed and text[place : place + 1] != ",":
            raise _not_one_value(path, text, place)
        place = place if closed else _after_space(text, place + 1)
    if (rest := _after_space(text, place + 1)) < len(text):
        raise _not_one_value(path, text, rest)


def _next_value(path: str, text: str, place: int) -> tuple[object, int]:
    """The JSON value that begins at `place`, and where it ends."""
    try:
        return _JSON.raw_decode(text, place)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else _line(text, place)
        raise ProblemFileError(f"{path}:{line}: not JSON ({error}); {_WHOLE_JSON}") from error


def _not_one_value(path: str, text: str, place: int) -> ProblemFileError:
    found = repr(text[place : place + 10]) if place < len(text) else "nothing"
    return ProblemFileError(f"{path}:{_line(text, place)}: not JSON (found {found} after a value); {_WHOLE_JSON}")


def _after_space(text: str, place: int) -> int:
    """The place of the next character that is no white space."""
    space = _SPACE.match(text, place)
    return space.end() if space else place


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1
