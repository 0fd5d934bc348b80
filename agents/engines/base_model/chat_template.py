"""Reads the chat template of a model's folder, and sets variables that it reads, such as `enable_thinking`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agents.engines.base_model.record import FilesError, Scalar

_GIVEN = {"messages", "tools", "documents", "add_generation_prompt", "raise_exception", "strftime_now"}
"""Variables that transformers gives a template, beside the special tokens such as `bos_token`."""


def read_template(folder: Path) -> str:
    """The chat template that transformers uses for a conversation without tools.

    Raises:
        FilesError: there is none, it is empty, or none of several is the default.
    """
    file = folder / "chat_template.jinja"
    found = file.read_text("utf-8") if file.is_file() else _configured(folder)
    if isinstance(found, list):
        templates = {each["name"]: each["template"] for each in found}
        if "default" not in templates:
            raise FilesError(
                f"has several chat templates ({', '.join(sorted(templates))}), but none is the default; "
                "write the one to use to chat_template.jinja"
            )
        found = templates["default"]
    if found is None:
        raise FilesError("has no chat template; use an instruct model, or save its tokenizer with a chat_template")
    if not isinstance(found, str) or not found.strip():
        raise FilesError("has an empty chat template; use an instruct model, or write one to chat_template.jinja")
    return found


def variables(template: str) -> set[str]:
    """The variables that a chat template reads and that transformers leaves undefined.

    Raises:
        FilesError: the template is not valid.
    """
    from jinja2 import Environment, TemplateSyntaxError, nodes
    from jinja2.ext import Extension
    from jinja2.meta import find_undeclared_variables
    from jinja2.parser import Parser

    class Generation(Extension):
        """The tag by which templates mark what the model says."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = Environment(extensions=[Generation, "jinja2.ext.loopcontrols"])  # noqa: S701  it renders nothing
    try:
        found = find_undeclared_variables(environment.parse(template))
    except TemplateSyntaxError as error:
        raise FilesError(f"has a chat template that is not valid (line {error.lineno}: {error.message})") from error
    return {name for name in found - _GIVEN - set(environment.globals) if not name.endswith(("_token", "_tokens"))}


def with_variables(template: str, values: Iterable[tuple[str, Scalar]]) -> str:
    """The template with these values of its variables, whoever renders it."""
    # JSON is what jinja reads, except for null.
    set_all = (
        f"{{% set {name} = {'none' if value is None else json.dumps(value, ensure_ascii=False)} %}}"
        for name, value in values
    )
    return "".join(set_all) + template


def _configured(folder: Path) -> Any:
    file = folder / "tokenizer_config.json"
    return json.loads(file.read_text("utf-8")).get("chat_template") if file.is_file() else None
