"""`maft preview`: a look at a job before it is run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.cli.shared import (
    JOBS,
    HomeOption,
    JsonOption,
    SetOption,
    app,
    err,
    faults,
    out,
    serve,
    show_warnings,
    use_servers,
)
from infra.home.home import DEFAULT, Home

if TYPE_CHECKING:
    from agents.engines.protocol import OnProgress
    from agents.preview.records import Conversation, Preview
    from infra.config.job import Config


@app.command(rich_help_panel=JOBS)
def preview(
    config_file: Annotated[Path | None, typer.Argument(metavar="[CONFIG.yaml]", show_default=False)] = None,
    assignments: SetOption = None,
    problems: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of training problems to debate; default: a batch of responses, at least 20 problems."
        ),
    ] = None,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
) -> None:
    """Show a few debates of a job, and what the whole job will take: time, memory, disk and tokens.

    It takes the config of `maft run`. Nothing is kept. Servers are started only to look up a generation to start from.
    """
    with faults():
        from infra.config.check import check_job
        from infra.config.file import load_config

        config = load_config(config_file, assignments or [])
        check_job(config)
        registry = _registry(config, home)
        from infra.operation.preview import preview as look

        folder = Home(home.expanduser().resolve())
        with err.status("the model is loaded") as status:

            @contextmanager
            def progress(label: str) -> "Iterator[OnProgress]":
                yield lambda done, total: status.update(f"{label}, {done:,} of {total:,}")

            found = look(config, folder, problems=problems, registry=registry, progress=progress)
        if as_json:
            print(found.model_dump_json())
        else:
            show_preview(out, found)


def _registry(config: "Config", home: Path) -> bool:
    """Whether MLflow can be asked for generations; servers are started if the job starts from a generation."""
    if config.start_from != "base":
        serve(home)
        return True
    from infra.operation.servers import Servers, status

    place = Home(home.expanduser().resolve())
    found = {server.name: server.url for server in status(place) if server.answering and server.url}
    if len(found) < 2:
        return False
    use_servers(place, Servers(found["prefect"], found["mlflow"]))
    return True


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
