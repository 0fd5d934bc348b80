"""What training takes, and what it gives: an agent with its examples, and its adapter as files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agents.split import Example


@dataclass(frozen=True)
class Learner:
    """One agent to train: its examples and where its adapter starts."""

    examples: Sequence[Example]
    seed: int
    """Decides the adapter's initial weights and the order of the examples."""
    start_from: Path | None = None
    """The adapter to go on from, or None for a new one."""
    beside: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The dataset's columns other than the conversation, with one value per example, by column name."""
    name: str = "the agent"
    """The agent's name, for messages."""


@dataclass(frozen=True)
class Adapter:
    """A trained adapter as the files of its folder, by name, and the figures of its training."""

    files: dict[str, bytes]
    """Empty if no example was learned."""
    examples: int
    skipped: int
    """Examples longer than the model's context; they are left out, never truncated."""
    tokens: int
    """Tokens read in training, prompts included, over all epochs."""
    first_loss: float | None
    last_loss: float | None
    """Mean losses of the first and the last epoch; None without examples."""


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of an adapter into an empty folder."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
