"""The numbers of a preview as rows of text, and the whole of it in markdown for the Prefect UI."""

import re

from agents.preview.records import Conversation, Preview, Turn
from agents.preview.warnings import gigabytes
from evaluation.reporting.markdown import escaped, markdown_table, warnings_markdown
from evaluation.reporting.tables import share

SHOWN = 2
"""Number of conversations that are shown in full; `--json` has all."""

Rows = list[tuple[str, str]]


def sample_rows(preview: Preview) -> Rows:
    """What was measured, as pairs of name and value."""
    shares, sample = preview.shares, preview.sample
    trained = "-" if sample.training_speed is None else f"{sample.training_speed:,.0f}"
    return [
        ("problems", f"{sample.problems:,}"),
        ("responses without an answer, %", share(shares.unanswered_share)),
        ("responses cut at the limit, %", share(shares.cut_share)),
        ("responses that are right, %", share(shares.right_share)),
        ("votes that are right, %", share(shares.accuracy)),
        ("consensus, %", share(shares.consensus)),
        ("votes kept as labels, %", share(shares.kept_share)),
        ("tokens of a response", f"{shares.tokens_per_response:.0f}"),
        ("tokens sampled a second", f"{sample.sampling_speed:,.0f}"),
        ("tokens of prompts read a second", f"{sample.reading_speed:,.0f}"),
        ("tokens trained a second", trained),
    ]


def forecast_rows(preview: Preview) -> Rows:
    """What the whole job is expected to take, as pairs of name and value."""
    found = preview.forecast
    device = [] if found.device_memory_bytes is None else [("memory of the GPU", gigabytes(found.device_memory_bytes))]
    return [
        *(
            (f"time to {name}" if name != "start" else "time to start", duration(s))
            for name, s in found.seconds.items()
        ),
        ("time in all", duration(found.total_seconds)),
        ("tokens of prompts", f"{found.prompt_tokens:,}"),
        ("sampled tokens", f"{found.sampled_tokens:,}"),
        ("trained tokens", f"{found.trained_tokens:,}"),
        *([("cost at the service", found.cost)] if found.cost else []),
        ("examples in an iteration", ", ".join(f"{name} {size:,}" for name, size in found.examples.items())),
        ("memory of the job's process", gigabytes(found.memory_bytes)),
        *device,
        ("disk", gigabytes(found.disk_bytes)),
    ]


def duration(seconds: float) -> str:
    """A time such as 4.2 s, 5 min 10 s or 3 h 20 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def ended(turn: Turn) -> str:
    """What became of a response, such as `answer 12, right, ended by itself after 40 tokens`."""
    answer = "no answer" if turn.answer is None else f"answer {turn.answer}, {'right' if turn.right else 'wrong'}"
    how = "ended by itself" if turn.finished else "cut at the limit"
    return f"{answer}, {how} after {turn.tokens} {'token' if turn.tokens == 1 else 'tokens'}"


def preview_page(preview: Preview) -> str:
    """Warnings, numbers, notes and the first conversations; nothing in a text of a model is markup."""
    columns = ["", "value"]
    parts = [
        warnings_markdown(preview.warnings),
        f"**The whole job**\n\n{markdown_table(columns, _escaped(forecast_rows(preview)), names=1)}",
        f"**The sample**, {_generation(preview)}\n\n{markdown_table(columns, _escaped(sample_rows(preview)), names=1)}",
        "\n".join(f"- {escaped(note)}" for note in preview.notes),
        *map(_conversation, preview.conversations[:SHOWN]),
    ]
    return "\n\n".join(part for part in parts if part)


def _generation(preview: Preview) -> str:
    return f"generation {preview.generation}" if preview.generation else "the untuned base"


def _escaped(rows: Rows) -> list[list[str]]:
    return [[escaped(name), escaped(value)] for name, value in rows]


def _conversation(conversation: Conversation) -> str:
    lines = [f"### {escaped(conversation.question)}", f"Reference: {escaped(conversation.reference)}"]
    for turn in conversation.transcript:
        lines.append(f"**Round {turn.round}, {escaped(turn.agent)}**: {escaped(ended(turn))}")
        if turn.read is not None:
            lines.append(f"It read:\n\n{fenced(turn.read)}")
        lines.append(f"The prompt:\n\n{fenced(turn.prompt)}\n\nThe response:\n\n{fenced(turn.text)}")
    votes = ", ".join(f"{count} for {escaped(answer)}" for answer, count in conversation.votes.items()) or "none"
    kept = "kept as a label" if conversation.kept else "not kept as a label"
    lines.append(f"Votes: {votes}; {kept}.")
    return "\n\n".join(lines)


def fenced(text: str) -> str:
    """Any text as a block of code, which it cannot end; control characters are replaced."""
    shown = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text.expandtabs(4))
    longest = max(map(len, re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}"
