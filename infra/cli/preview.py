"""`maft preview`: a look at a job before it is run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    use_servers,
)
from infra.home.home import DEFAULT, Home

if TYPE_CHECKING:
    from agents.engines.protocol import OnProgress
    from infra.config.job import Config


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"{text!r}, but a whole number is needed, such as 20")
    return int(text)


@app.command(rich_help_panel=JOBS)
def preview(
    config_file: Annotated[Path | None, typer.Argument(metavar="[CONFIG.yaml]", show_default=False)] = None,
    assignments: SetOption = None,
    problems: Annotated[
        int | None,
        typer.Option(
            parser=_count,
            metavar="N",
            help="Number of training problems to debate; default: a batch of responses, at least 20 problems.",
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
            from infra.cli.preview_screen import show_preview

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
