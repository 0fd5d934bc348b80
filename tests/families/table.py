"""The table of docs/models.md: what a tiny model of each family can do, found out by trying it."""

import re
import tempfile
from pathlib import Path

from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.engines.transformers.engine import TransformersEngine
from agents.training.layers import left_out
from agents.training.methods.sft import Sft
from agents.try_bases import TriedBase, tried_base
from tests.families.models import FAMILIES, VLLM_SIZES, write

COLUMNS = ("family", "config class", "decoded by", "agents are trained", "LoRA adapts", "a turn ends with", "vLLM")
BEGIN, END = "<!-- families, written by `make docs` -->\n", "<!-- end of families -->"


def row(name: str, engine: TransformersEngine) -> str:
    """The row of a family, as Markdown.

    Args:
        name: a key of FAMILIES.
        engine: the engine on a model of this family.
    """
    opening = DEFAULT.opening("")
    family, found = FAMILIES[name], tried_base(engine, name, Sft(), opening=opening, learners=2, decodes=True)
    forgone = sorted({layer.rpartition(".")[2] for layer in left_out(engine.model)})
    layers = ", ".join(f"`{layer}`" for layer in found.layers)
    cells = (
        family.title,
        f"`{family.config}`",
        _decoding(found),
        f"{found.training}: {_steady(found.why_one_at_a_time)}" if found.why_one_at_a_time else found.training,
        f"{layers}; not {', '.join(f'`{layer}`' for layer in forgone)}" if forgone else layers,
        f"`{found.turn_end}`",
        "tested" if name in VLLM_SIZES else "",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _decoding(found: TriedBase) -> str:
    return f"{found.decoding}: {_steady(found.why_not_loop)}" if found.why_not_loop else str(found.decoding)


def _steady(reason: str) -> str:
    """A reason without the size of a difference, which depends on the machine."""
    return re.sub(r" \(off by [^)]*\)", "", reason)


def table() -> str:
    """The whole table, as Markdown; it takes a minute."""
    rows = []
    for name in FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            model, tokenizer = base_model.load(str(write(name, Path(folder))), "cpu")
        rows.append(row(name, TransformersEngine(model, tokenizer, Path(folder))))
    head = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    return head + "".join(f"{each}\n" for each in rows)
