"""Prints texts of models and users in a terminal."""

from rich.console import Console
from rich.text import Text


def show_text(console: Console, text: str, indent: int = 0, style: str = "") -> None:
    """Print text of a model or a user; markup is not interpreted, and control characters are replaced."""
    shown = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text.expandtabs(4))
    for line in Text(shown, style=style).wrap(console, console.width - indent):
        indented = Text(" " * indent) + line
        indented.rstrip()
        console.print(indented)


def or_none(answer: str | None) -> str:
    """An answer, or the words for none."""
    return "no answer" if answer is None else answer


def show_votes(console: Console, votes: dict[str, int], voters: int) -> None:
    """Print the number of votes for each answer, in the given order, and of agents without an answer."""
    console.print(Text("\nVotes", style="bold"))
    for given, count in votes.items():
        show_text(console, f"{count} for {given}", 2)
    if silent := voters - sum(votes.values()):
        show_text(console, f"{silent} without an answer", 2)
