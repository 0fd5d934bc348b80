"""Sections of a config: the run form shows them closed, and some of them have one of several kinds."""

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Annotated, Any, Union, get_args

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, GetCoreSchemaHandler, JsonValue, Tag
from pydantic_core import CoreSchema

from evaluation.registry import Registry


def folded(model: Any, empty: Callable[[], Any] = dict) -> BeforeValidator:
    """Let a section be None, which means its defaults; the run form then shows it closed.

    Args:
        model: the type of the section.
        empty: makes the value that None stands for.
    """
    return BeforeValidator(lambda value: empty() if value is None else value, json_schema_input_type=model | None)


def named(model: type[BaseModel], field: str) -> BeforeValidator:
    """Let a text stand for a section in which only `field` is set; the run form then shows a line for the text."""
    text = Annotated[str, Field(min_length=1, title="Source")]
    return BeforeValidator(
        lambda value: {field: value} if isinstance(value, str) else value, json_schema_input_type=text | model
    )


class Kinds:
    """A section with one of several kinds of settings; its field `tag` names the kind in a registry.

    `engine: Annotated[EngineSettings, Kinds(ENGINES, tag="name", default="transformers")]` takes the settings of any
    engine. A section without the tag is of the kind `default`; None means the defaults of that kind.
    """

    def __init__(self, registry: Registry[Any], *, tag: str, default: str) -> None:
        self.registry, self.tag, self.default = registry, tag, default

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A tagged union of all kinds."""
        # The run form shows the kinds in this order.
        names = sorted(self.registry.names(), key=lambda name: name != self.default)
        kinds = {name: self.registry[name] for name in names}
        union = Union[tuple(Annotated[kind, Tag(name)] for name, kind in kinds.items())]  # type: ignore[valid-type]  # noqa: UP007
        section = Annotated[union, Discriminator(self._kind_of)]  # type: ignore[valid-type]
        closed = BeforeValidator(
            lambda value: {} if value is None else value,
            json_schema_input_type=Union[(*kinds.values(), None)],
        )
        return handler.generate_schema(Annotated[section, closed])

    def _kind_of(self, given: Any) -> str:
        if isinstance(given, Mapping):
            return str(given.get(self.tag, self.default))
        return str(getattr(given, self.tag, self.default))

    def having(self, field: str) -> list[str]:
        """The kinds that have this field."""
        return [name for name in self.registry.names() if field in self.registry[name].model_fields]


def kinds_of(model: type[BaseModel], field: str) -> Kinds | None:
    """The kinds that a field of `model` may have; None if the field is not a section of several kinds."""
    info = model.model_fields.get(field)
    return next((each for each in info.metadata if isinstance(each, Kinds)), None) if info else None


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The settings of a plain section, which may be left out; None if the annotation is not a section."""
    options = [each for each in get_args(annotation) or (annotation,) if each is not NoneType]
    found = options[0] if len(options) == 1 else None
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def material(settings: BaseModel) -> dict[str, JsonValue]:
    """The settings that decide results, as JSON: all fields except those in NOT_IN_CACHE_KEY of their class."""
    tree: dict[str, JsonValue] = settings.model_dump(mode="json")
    for field in getattr(settings, "NOT_IN_CACHE_KEY", ()):
        tree.pop(field, None)
    for field in tree:
        section = getattr(settings, field)
        if isinstance(section, BaseModel):
            tree[field] = material(section)
    return tree
