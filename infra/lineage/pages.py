"""Writes the descriptions of registered models and of their versions that the MLflow UI shows.

Descriptions are markdown. Their links are paths within the MLflow UI (`#/...`), so they work at any address. Databases
other than SQLite limit a description to 5000 characters, so a long table leaves its oldest rows out.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING
from urllib.parse import quote

from evaluation.reporting.markdown import markdown_table
from infra.lineage.versions import BASE

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

MOVE = "champion.move."
"""Prefix of the registered model's tags that record the moves of `champion`, see `infra.lineage.champion`."""

ACCURACY, PARENT = "round-", "parent/"
"""Tags of an agent's version: `round-2` has its accuracy in round 2, `parent/round-2` its parent's."""

TABLE_CHARS = 2200
"""The largest size of each of the two tables of a description."""


def version_link(name: str, version: str, text: str | None = None) -> str:
    """A link to the page of a version; the default text is `version N`."""
    return f"[{text or f'version {version}'}](#/models/{name}/versions/{version})"


def version_page(summary: str, facts: Mapping[str, str]) -> str:
    """The description of a version: a sentence, then a list of facts, each as `key: markdown`."""
    return "\n".join([summary, "", *(f"- {key}: {value}" for key, value in facts.items())])


def with_fact(page: str, key: str, value: str) -> str:
    """The description of a version with this fact as the first of the list; it replaces an earlier one of that key."""
    summary, _, facts = page.partition("\n\n")
    others = [fact for fact in facts.splitlines() if not fact.startswith(f"- {key}: ")]
    return "\n".join([summary, "", f"- {key}: {value}", *others])


def comparison_link(experiment_id: str, run_ids: Sequence[str], text: str) -> str:
    """A link to MLflow's page that compares these runs side by side."""
    runs, experiments = (quote(json.dumps(list(ids), separators=(",", ":"))) for ids in (run_ids, [experiment_id]))
    return f"[{text}](#/compare-runs?runs={runs}&experiments={experiments})"


def origin(experiment_id: str, run_id: str, model_id: str) -> dict[str, str]:
    """Links to the run and the LoggedModel of a version, as facts for `version_page`."""
    return {
        "run": f"[{run_id}](#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning)",
        "logged model": f"[{model_id}](#/experiments/{experiment_id}/models/{model_id}?workflowType=machine_learning)",
    }


def society_page(model: "RegisteredModel", versions: "Sequence[ModelVersion]") -> str:
    """The description of a society's registered model: its generations and the moves of `champion`, newest first.

    Args:
        model: The registered model, with its tags and aliases.
        versions: All its versions, newest first.
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


def agent_page(about: str, versions: "Sequence[ModelVersion]") -> str:
    """The description of an agent's registered model: its accuracy in each generation and round, and its parent's.

    Args:
        about: The first sentence.
        versions: All its versions, newest first; those that were not measured yet are left out.
    """
    measured = [version for version in versions if any(tag.startswith(ACCURACY) for tag in version.tags)]
    rounds = sorted({tag for version in measured for tag in version.tags if tag.startswith(ACCURACY)})
    head = ["version", "generation", "parent", *(f"{one} (its parent's)" for one in rounds)]
    rows = []
    for version in measured:
        parent = version.tags["parent_version"]
        link = _to(version.name, None if parent == BASE else parent)
        accuracies = [_accuracies(version.tags, one) for one in rounds]
        rows.append([_to(version.name, str(version.version)), version.tags["generation"], link, *accuracies])
    accuracy = "Accuracy on held-out problems, and that of its parent on the same problems:"
    return f"{about}\n\n{accuracy}\n\n{_table(head, rows)}" if rows else about


def _accuracies(tags: Mapping[str, str], one: str) -> str:
    """The accuracy in a round, and the parent's in brackets, if it was measured."""
    if one not in tags:
        return ""
    parent = tags.get(f"{PARENT}{one}")
    return f"{100 * float(tags[one]):.1f} %" + (f" ({100 * float(parent):.1f} %)" if parent else "")


def plain(text: str) -> str:
    """A text as one line, escaped so that markdown shows it as it is, without formatting, HTML or links."""
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
    """A markdown table of at most TABLE_CHARS characters, and below it the number of rows left out, if any."""
    table = markdown_table(head, rows, names=len(head)) + "\n"
    columns, rules, *cells = table.splitlines(keepends=True)
    # MLflow shows columns without a gap between them. No cell contains a bar, since `plain` escapes it.
    spaced = [line.replace(" | ", " &ensp;| ") for line in (columns, *cells)]
    lines = [spaced[0], rules, *spaced[1:]]
    shown = sum(size <= TABLE_CHARS for size in accumulate(map(len, lines)))
    left_out = len(lines) - shown
    return "".join(lines[:shown]) + (f"\n... and {left_out} older ones\n" if left_out else "")
