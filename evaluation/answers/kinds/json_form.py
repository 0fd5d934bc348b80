"""Answers that are JSON: a form whose fields a schema describes."""

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from pydantic import Field, JsonValue, field_validator
from referencing import Registry as SchemaRegistry
from referencing.exceptions import Unresolvable

from evaluation.answers.extract import TAIL_CHARS
from evaluation.answers.grader import GRADERS, Grader
from evaluation.answers.thoughts import spoken

MAX_JSON_CHARS = 1_000
"""Length of the longest answer, written without spaces."""
_MAX_STARTS = 200


@GRADERS.add("json")
class Json(Grader):
    """A JSON value."""

    kind: Literal["json"] = Field(default="json", title="Kind", description="a JSON value that fits a schema.")
    json_schema: dict[str, JsonValue] = Field(
        default={"type": "object"},
        title="JSON schema",
        description="The schema (JSON Schema 2020-12) of an answer, such as {type: object, required: [name], "
        "properties: {name: {type: string}}}.",
    )

    @field_validator("json_schema")
    @classmethod
    def _is_a_schema(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        try:
            Draft202012Validator.check_schema(value)
        except SchemaError as error:
            raise ValueError(f"not a JSON schema: {error.message} at {error.json_path}") from error
        return value

    def extract(self, text: str) -> str | None:
        """The last JSON value in the response that fits the schema, with sorted keys and without spaces."""
        values = map(_plain, _values(spoken(text)[-TAIL_CHARS:]))
        fitting = [value for value in values if self._misfit(value) is None]
        written = canonical(fitting[-1]) if fitting else None
        return written if written and len(written) <= MAX_JSON_CHARS else None

    def equivalent(self, a: str | None, b: str | None) -> bool:
        """Whether two JSON texts have the same value: the order of keys does not count, and 2.0 is 2."""
        return a is not None and b is not None and _reread(a) == _reread(b)

    def fault(self, reference: str) -> str | None:
        """Refuse a reference that is not JSON, or does not fit the schema."""
        try:
            value = json.loads(reference, parse_float=Decimal, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            return f"it is not JSON ({error})"
        misfit = self._misfit(_plain(value))
        return f"it does not fit answers.json_schema: {misfit}" if misfit else None

    def _misfit(self, value: Any) -> str | None:
        # An empty registry: nothing that a schema refers to is fetched.
        validator = Draft202012Validator(self.json_schema, registry=SchemaRegistry())
        try:
            validator.validate(value)
        except ValidationError as error:
            return f"{error.message[:200]} at {error.json_path}"
        except Unresolvable as error:
            return f"the schema refers to {error.ref}, which is not in it"
        return None


def canonical(value: Any) -> str:
    """JSON with sorted keys and without spaces; a number without its final zeros, so that 2.0 and 2 are the same."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value.adjusted()) < 30 else float(value)
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


@lru_cache(maxsize=65_536)
def _reread(answer: str) -> str:
    try:
        return canonical(json.loads(answer, parse_float=Decimal, parse_constant=_refuse))
    except (ValueError, RecursionError):
        return answer


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _values(text: str) -> Iterator[Any]:
    """The objects and lists in a text that are not within each other, in order."""
    decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse)
    place = 0
    for _ in range(_MAX_STARTS):
        starts = [start for start in (text.find("{", place), text.find("[", place)) if start >= 0]
        if not starts:
            return
        place = min(starts)
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place += 1
        else:
            yield value
