"""What `maft preview` prints. The command is elsewhere, since importing it adds it to the list of commands."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.cli.shared import show_warnings

if TYPE_CHECKING:
    from agents.preview.records import Conversation, Preview


def show_preview(console: Console, preview: "Preview") -> None:
    """Print the first conversations in full, then the numbers, the warnings and what they do not cover."""
    from infra.operation.preview_page import SHOWN, forecast_rows, sample_rows

    for conversation in preview.conversations[:SHOWN]:
        _show_conversation(console, conversation)
    who = f"generation {preview.generation}" if preview.generation else "the untuned base"
    console.print(_table(f"\nThe sample: {preview.society}, {who}", sample_rows(preview)))
    console.print(_table("\nThe whole job, as expected", forecast_rows(preview)))
    show_warnings(preview.warnings, console)
    for note in preview.notes:
        console.print(Text(note, style="dim"))


def _table(title: str, rows: list[tuple[str, str]]) -> Table:
    table = Table(title=Text(title, style="bold"), title_justify="left", show_header=False, box=None, pad_edge=False)
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    return table


def _show_conversation(console: Console, conversation: "Conversation") -> None:
    from infra.cli.texts import or_none, show_text, show_votes
    from infra.operation.preview_page import ended

    show_text(console, f"\n{conversation.question}", style="bold")
    show_text(console, f"reference: {conversation.reference}", 2)
    for turn in conversation.transcript:
        show_text(console, f"\nRound {turn.round}, {turn.agent}: {ended(turn)}", style="bold")
        show_text(console, "the prompt, as the model reads it:", 2, "dim")
        show_text(console, turn.prompt, 4, "dim")
        if turn.read is not None:
            show_text(console, "of this, what the others said:", 2, "dim")
            show_text(console, turn.read, 4, "dim")
        show_text(console, "the response:", 2, "dim")
        show_text(console, turn.text, 4)
    last = conversation.transcript[-1].round
    show_votes(console, conversation.votes, sum(turn.round == last for turn in conversation.transcript))
    kept = "kept as a label" if conversation.kept else "not kept as a label"
    right = "right" if conversation.right else "wrong"
    share = f"consensus {100 * conversation.consensus:.0f} %"
    show_text(console, f"\nAnswer {or_none(conversation.answer)}, {right}  ({share}, {kept})", style="bold")
