"""Writes docs/reference.md: all config fields, commands, benchmark methods and environment variables.

All of it is read from the code, so that a new field or method needs no edit of a page. Run by `make docs`; it starts no
server and loads no model.
"""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

from pydantic import BaseModel
from typer import Typer
from typer.models import ArgumentInfo, OptionInfo

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference.md"
PACKAGES = ("agents", "evaluation", "infra", "tasks", "flows")
sys.path.insert(0, str(ROOT))

from evaluation.benchmark.methods import METHODS  # noqa: E402
from infra.cli.main import app  # noqa: E402
from infra.cli.shared import GENERATIONS, JOBS, OPERATION  # noqa: E402
from infra.config.benchmark import Benchmark  # noqa: E402
from infra.config.job import Config, Measurement  # noqa: E402

Schema = dict[str, Any]
"""A JSON schema, or a part of one."""
VARIABLES = {
    "MAFT_HOME": ("`.maft`", "Folder for everything that maft writes; same as `--home`."),
    "MAFT_PLUGINS": (
        "none",
        "Modules, separated by commas, that add entries to the registries; imported first.",
    ),
    "MAFT_TIMEZONE": ("UTC", "Time zone of the nightly schedule, such as Europe/Paris."),
    "MAFT_STORE": (
        "none: the home",
        "URL where results and artifacts last, such as s3://bucket/prefix; credentials come from the environment.",
    ),
    "MAFT_STORE_CACHE_GB": ("20", "With `MAFT_STORE`, gigabytes above which the home loses copies of artifacts."),
    "MAFT_WEBHOOK_URL": (
        "none",
        "URL that gets JSON when something happens (manual, Being told). It is secret.",
    ),
    "MAFT_PREFECT_PORT": ("4200, or the next free one", "Port of the Prefect server."),
    "MAFT_MLFLOW_PORT": ("5000, or the next free one", "Port of the MLflow server."),
    "PREFECT_API_URL": ("none", "Your own Prefect server, instead of the one that maft starts."),
    "MLFLOW_TRACKING_URI": ("none", "Your own MLflow server, instead of the one that maft starts."),
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": (
        "SQLite in the home",
        "Database of the Prefect server that maft starts, such as postgresql+asyncpg://user:password@host/prefect.",
    ),
    "MLFLOW_BACKEND_STORE_URI": (
        "SQLite in the home",
        "Database of the MLflow server that maft starts, such as postgresql://user:password@host/mlflow.",
    ),
    "MLFLOW_ARTIFACTS_DESTINATION": (
        "a folder in the home",
        "Where the MLflow server that maft starts keeps files, such as s3://bucket/prefix.",
    ),
    "OPENAI_API_KEY": (
        "none",
        "Key of the server of `engine.url`, and of `finetune.url` with service openai. It is never logged.",
    ),
    "FIREWORKS_API_KEY": ("none", "Key of the server of `finetune.url` with service fireworks. It is never logged."),
    "TINKER_API_KEY": ("none", "Key of the service of `engine.name` tinker, such as tml-.... It is never logged."),
}
"""Environment variables that users set, with default and meaning; variables not named in the code are left out."""

INTERNAL = {"MAFT_SERVER", "MAFT_RAY_NODE"}
"""Variables that maft sets for its own processes."""


WORDS = {
    "string": "text",
    "boolean": "true, false",
    "integer": "whole number",
    "object": "fields as below",
    "null": "",
}
ALSO_TOP = ("engine", "finetune")
"""Sections that stand in another section too; their fields are listed once."""
MANY = 8
"""Length of the longest list that is shown in full."""


@dataclass(frozen=True)
class Field:
    """One row of a table of fields. `kinds` are the kinds of its section that have the field; empty for all kinds."""

    name: str
    default: str
    values: str
    meaning: str
    kinds: tuple[str, ...] = ()


def fields(model: type[BaseModel]) -> list[Field]:
    """All fields of a config; a field of a section has a dotted name."""
    schema = model.model_json_schema()
    defaults = {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()}
    return list(_fields(schema, schema.get("$defs", {}), defaults))


def _fields(schema: Schema, definitions: Schema, defaults: dict[str, object], prefix: str = "") -> Iterator[Field]:
    for name, about in schema["properties"].items():
        default = defaults.get(name, about.get("default"))
        sections = _sections(about, definitions)
        if prefix and name in ALSO_TOP:
            yield Field(prefix + name, "none", f"the fields of {name}", about.get("description", ""))
            continue
        if not sections or default is None:
            yield Field(prefix + name, _shown(default), _values(about, definitions), about.get("description", ""))
        if sections:
            yield from _section(sections, definitions, default, f"{prefix}{name}.")


def _section(sections: list[Schema], definitions: Schema, default: object, prefix: str) -> Iterator[Field]:
    """The fields of a section; if it has several kinds, each field is listed once, with its kinds."""
    given = dict(default) if isinstance(default, BaseModel) else {}
    if len(sections) == 1:
        yield from _fields(sections[0], definitions, given, prefix)
        return
    choice = next(iter(_kind(sections[0])), "")
    kinds = {
        _kind(section).get(choice, ""): {field.name: field for field in _fields(section, definitions, given, prefix)}
        for section in sections
    }
    for name in dict.fromkeys(name for own in kinds.values() for name in own):
        having = tuple(kind for kind, own in kinds.items() if name in own)
        if name == prefix + choice:
            meaning = "; ".join(f"{kind}: {own[name].meaning.rstrip('.')}" for kind, own in kinds.items())
            yield Field(name, _shown(given[choice]), ", ".join(kinds), f"{meaning}.")
        else:
            field = kinds[having[0]][name]
            meanings = {kind: kinds[kind][name].meaning for kind in having}
            if len(set(meanings.values())) == 1:
                yield replace(field, kinds=having if len(having) < len(kinds) else ())
            else:
                yield replace(field, meaning=" ".join(f"({kind}) {meaning}" for kind, meaning in meanings.items()))


def _kind(section: Schema) -> dict[str, str]:
    """The field and value that identify a kind of section, such as {"name": "openai"}; empty if there is none."""
    return {name: str(about["const"]) for name, about in section["properties"].items() if "const" in about}


def _sections(about: Schema, definitions: Schema) -> list[Schema]:
    """The schemas of the models that a property may be; empty for a plain value."""
    if "$ref" in about:
        target = definitions[about["$ref"].rpartition("/")[2]]
        return [target] if "properties" in target else _sections(target, definitions)
    return [
        section
        for part in ("anyOf", "oneOf", "allOf")
        for option in about.get(part, [])
        for section in _sections(option, definitions)
    ]


def _values(about: Schema, definitions: Schema) -> str:
    """The values that a property may have, in words."""
    if "$ref" in about:
        return _values(definitions[about["$ref"].rpartition("/")[2]], definitions)
    if "const" in about or "enum" in about:
        return ", ".join(str(value) for value in about.get("enum", [about.get("const")]))
    options = [option for part in ("anyOf", "oneOf", "allOf") for option in about.get(part, [])]
    if options:
        return " or ".join(dict.fromkeys(filter(None, (_values(option, definitions) for option in options))))
    if about.get("type") == "array":
        if sections := _sections(about.get("items", {}), definitions):
            return f"list: each with {' and '.join(sections[0]['properties'])}"
        items = _values(about.get("items", {}), definitions)
        return "list of names" if items.count(",") > MANY else f"list: {items}"
    kind = str(about.get("type", ""))
    if kind == "object" and "properties" not in about:
        kind = "names with values"
    return " ".join(filter(None, (WORDS.get(kind, kind), *_limits(about))))


def _limits(about: Schema) -> Iterator[str]:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "and below"}
    for key, word in words.items():
        if key in about:
            limit = about[key]
            yield f"{word} 2^31" if limit == 2**31 else f"{word} {limit:,}".removesuffix(".0")


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list | tuple) and len(default) > MANY:
        return f"{default[0]}, {default[1]}, … {default[-1]} ({len(default)} in all)"
    if isinstance(default, list | tuple) and default:
        return ", ".join(_shown(value) for value in default)
    return str(default) if default or default == 0 else "none"


def _cell(text: str) -> str:
    """Text for a table cell: on one line, with links to papers and without markup."""
    text = re.sub(r"\s+", " ", text).strip().replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    names = "|".join(re.escape(name) for name in FIELD_NAMES if re.search("[._]", name))  # Others are plain words.
    text = re.sub(rf"(?<![\w.`-])({names})(?![\w`-])", r"`\1`", text)
    return re.sub(r"arXiv (\d{4}\.\d{5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)


def _table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(heading)} |", "|" + "---|" * len(heading), *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def _field_table(rows: list[Field]) -> str:
    return _table(
        ("field", "default", "values", "meaning"),
        [
            (
                f"`{row.name}`",
                _cell(row.default),
                _cell(row.values),
                _cell((f"({', '.join(row.kinds)}) " if row.kinds else "") + row.meaning),
            )
            for row in rows
        ],
    )


def _config() -> str:
    job = fields(Config)
    parts = ["## Config of a job", "The parameter of the deployments `improve` and `nightly`; `maft run` reads it too."]
    top = [field for field in job if "." not in field.name]
    parts.append(_field_table(top))
    for section in dict.fromkeys(field.name.partition(".")[0] for field in job if "." in field.name):
        about = str(Config.model_fields[section].description or "").removesuffix(" None: the defaults.")
        parts += [f"### `{section}`", about, _field_table([f for f in job if f.name.startswith(f"{section}.")])]
    return "\n\n".join(filter(None, parts))


def _other(title: str, about: str, model: type[BaseModel]) -> str:
    """The fields of another config that differ from a job's, and the job's fields that it lacks."""
    job = fields(Config)
    own = fields(model)
    lacking = [f"`{name}`" for name in Config.model_fields if name not in model.model_fields]
    missing = f" It has no {', '.join(lacking)}." if lacking else ""
    return f"## {title}\n\n{about}{missing}\n\n{_field_table([field for field in own if field not in job])}"


def parameters(callback: Callable[..., object]) -> list[tuple[str, str, str]]:
    """Arguments, then options of a command, read from its function, each with usage, default and meaning."""
    hints = get_type_hints(callback, include_extras=True)
    arguments, options = [], []
    for name, parameter in inspect.signature(callback).parameters.items():
        kind, info = get_args(hints[name])[:2]
        if not isinstance(info, ArgumentInfo | OptionInfo):
            raise TypeError(f"{callback.__name__}: parameter {name} has no typer.Option or typer.Argument")
        given = parameter.default
        default = "" if given is None or given is False or given is inspect.Parameter.empty else f"`{given}`"
        about = info.help or {"config_file": "YAML file of the config."}.get(name, "")
        meaning = _cell(f"{about} Environment: `{info.envvar}`." if info.envvar else about)
        if isinstance(info, ArgumentInfo):
            metavar = info.metavar or (name.upper() if given is inspect.Parameter.empty else f"[{name.upper()}]")
            arguments.append((f"`{metavar}`", default, meaning))
        else:
            # In `Annotated`, typer reads the first name as the default.
            named = [str(each) for each in (info.default, *(info.param_decls or ())) if str(each).startswith("--")]
            option = next(iter(named), "--" + name.replace("_", "-"))
            options.append((f"`{option} {info.metavar or _metavar(kind)}".rstrip() + "`", default, meaning))
    return arguments + options


def _metavar(kind: object) -> str:
    """The placeholder for the value of an option; empty for a flag."""
    plain = [each for each in get_args(kind) or (kind,) if each is not type(None)]
    return {bool: "", int: "NUMBER", float: "NUMBER", Path: "PATH"}.get(plain[0], "TEXT")


def _commands() -> str:
    overview: list[tuple[str, ...]] = []
    details: list[str] = []
    panels = [JOBS, GENERATIONS, OPERATION]
    commands = [("", each) for each in app.registered_commands]
    commands.sort(key=lambda each: panels.index(str(each[1].rich_help_panel)))
    for group in app.registered_groups:
        commands += [(f"{group.name} ", each) for each in cast(Typer, group.typer_instance).registered_commands]
    for prefix, command in commands:
        callback = cast(Callable[..., object], command.callback)
        name = prefix + (command.name or callback.__name__)
        about = inspect.getdoc(callback) or ""
        rows = parameters(callback)
        usage = " ".join(["maft", name, *(row[0].strip("`") for row in rows if not row[0].startswith("`--"))])
        overview.append((f"`{usage} [OPTIONS]`", _cell(re.split(r"(?<=\.)\s", about, maxsplit=1)[0])))
        paragraphs = [re.sub(r"\s+", " ", paragraph) for paragraph in about.split("\n\n")]
        details += [f"### `maft {name}`", *paragraphs, _table(("argument or option", "default", "meaning"), rows)]
    return "\n\n".join(["## Commands", _table(("command", "what it does"), overview), *details])


def _methods() -> str:
    names = Benchmark.model_json_schema()["properties"]["methods"]["items"]["enum"]
    rows = [(f"`{name}`", METHODS[name].title, _cell(METHODS[name].about)) for name in names]
    about = "## Methods of a benchmark\n\nThe names that the field `methods` takes, in the order of the tables."
    return f"{about}\n\n{_table(('name', 'in the table', 'what it is'), rows)}"


def _named_variables() -> set[str]:
    """Names of environment variables that the code has as strings."""
    trees = [ast.parse(path.read_text("utf-8")) for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    constants = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    found = {value for value in constants if isinstance(value, str)}
    return {text for text in found if re.fullmatch(r"MAFT_[A-Z_]*[A-Z]", text)} | (found & VARIABLES.keys())


def _variables() -> str:
    named = _named_variables()
    if unknown := sorted(named - VARIABLES.keys() - INTERNAL):
        raise SystemExit(f"docs/reference.py: say in VARIABLES what {', '.join(unknown)} means, or add it to INTERNAL")
    rows = [(f"`{name}`", *VARIABLES[name]) for name in VARIABLES if name in named]
    return f"## Environment variables\n\n{_table(('variable', 'default', 'meaning'), rows)}"


FIELD_NAMES = frozenset(field.name for model in (Config, Measurement, Benchmark) for field in fields(model))


def page() -> str:
    """The whole page, in markdown."""
    parts = [
        "# Reference",
        "<!-- Written by docs/reference.py from the code; `make docs` writes it again. -->",
        "Every field can be set in a YAML file, with `--set key.path=value`, and in the run form of the Prefect UI. If "
        "the default is *none*, the field is not set. The [manual](manual.md) explains the terms.",
        _config(),
        _other("Config of an evaluation", "Config of `maft evaluate` and deployment `evaluate`.", Measurement),
        _other(
            "Config of a benchmark",
            "The config of `maft benchmark` and deployment `benchmark`: a job's config and these fields.",
            Benchmark,
        ),
        _methods(),
        _commands(),
        _variables(),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
