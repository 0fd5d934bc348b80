"""Descriptions of registered models: where a version comes from, and how the generations went.

Descriptions are markdown, and their links are paths within the MLflow UI (`#/...`), so they hold under any address.
MLflow's databases other than SQLite take no description over 5000 characters; older generations are left out then.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from evaluation.reporting.markdown import markdown_table
from infra.lineage.versions import BASE

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

MOVE = "champion.move."
"""Prefix of the registered model's tags that record the moves of `champion`, see `infra.lineage.champion`."""

TABLE_CHARS = 2200
"""The most that either table takes, which leaves room for the rest."""


def version_link(name: str, version: str, text: str | None = None) -> str:
    """A link to the page of a version; by default its text is `version N`."""
    return f"[{text or f'version {version}'}](#/models/{name}/versions/{version})"


def version_page(summary: str, facts: Mapping[str, str]) -> str:
    """The description of a version: a sentence about it, then what it came from, as `key: markdown`."""
    return "\n".join([summary, "", *(f"- {key}: {value}" for key, value in facts.items())])


def origin(experiment_id: str, run_id: str, model_id: str) -> dict[str, str]:
    """The facts of a version that lead to its run and to its LoggedModel."""
    return {
        "run": f"[{run_id}](#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning)",
        "logged model": f"[{model_id}](#/experiments/{experiment_id}/models/{model_id}?workflowType=machine_learning)",
    }


def society_page(model: "RegisteredModel", versions: "Sequence[ModelVersion]") -> str:
    """The description of a society's registered model: its generations and the moves of `champion`, newest first.

    Args:
        model: With its tags and aliases.
        versions: Newest first.
    """
    text = f"The society **{model.name}**, one version per generation. Generation 0 is the untuned base.\n\n"
    text += _table(
        ("version", "generation", "parent", "accuracy", "verdict", "alias"),
        [_generation(model, version) for version in versions],
    )
    moves = [json.loads(value) for key, value in sorted(model.tags.items(), reverse=True) if key.startswith(MOVE)]
    if moves:
        text += "\nMoves of `champion`:\n\n"
        text += _table(("when (UTC)", "from", "to", "who", "why"), [_move(model.name, move) for move in moves])
    return text


def plain(text: str) -> str:
    """Any text as one line of a table or a list, shown as it is: nothing in it is markdown, HTML or a link."""
    return "".join(c if c.isalnum() or c in " .,%+-" else f"&#{ord(c)};" for c in " ".join(text.split()))


def _generation(model: "RegisteredModel", version: "ModelVersion") -> list[str]:
    tags = version.tags
    parent = tags["parent_version"]
    accuracy = f"{100 * float(tags['accuracy']):.1f} %" if "accuracy" in tags else ""
    if accuracy and "standard_error" in tags:
        accuracy += f" ± {100 * float(tags['standard_error']):.1f}"
    return [
        _to(model.name, str(version.version)),
        tags["generation"],
        _to(model.name, None if parent == BASE else parent),
        accuracy,
        plain(tags.get("verdict", "")),
        ", ".join(f"`{alias}`" for alias, at in sorted(model.aliases.items()) if str(at) == str(version.version)),
    ]


def _move(name: str, move: Mapping[str, str | None]) -> list[str]:
    why = str(move["why"])
    return [
        plain(str(move["at"])[:16].replace("T", " ")),
        _to(name, move["source"]),
        _to(name, move["target"]),
        plain(str(move["who"])),
        plain(why if len(why) <= 120 else f"{why[:117]}..."),
    ]


def _to(name: str, version: str | None) -> str:
    return version_link(name, version, version) if version else BASE


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of at most TABLE_CHARS, and how many rows that leaves out."""
    table = markdown_table(head, rows, names=len(head)) + "\n"
    columns, rules, *cells = table.splitlines(keepends=True)
    # MLflow sets the columns without a gap. No cell has a bar in it: `plain` sees to that.
    spaced = [line.replace(" | ", " &ensp;| ") for line in (columns, *cells)]
    lines = [spaced[0], rules, *spaced[1:]]
    shown = sum(size <= TABLE_CHARS for size in accumulate(map(len, lines)))
    left_out = len(lines) - shown
    return "".join(lines[:shown]) + (f"\n... and {left_out} older ones\n" if left_out else "")
