"""The parts that the commands of `maft` share: the app, options, the start of the servers, and error messages."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from infra.errors import UserError
from infra.home.home import Home

if TYPE_CHECKING:
    from evaluation.scores import GenerationScores
    from infra.lineage.records import JobRun
    from infra.operation.servers import Servers

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Multiagent finetuning: a society of agents over one base model improves itself.",
)
out = Console()
err = Console(stderr=True)

HomeOption = Annotated[
    Path, typer.Option("--home", envvar="MAFT_HOME", help="Folder that maft writes everything to.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object; logs go to standard error.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override one config field; repeatable.")
]
SocietyArgument = Annotated[str, typer.Argument(help="Name of the society.")]
JOBS, GENERATIONS, OPERATION = "Jobs", "Generations", "Operation"
"""Panels of `maft --help`."""
HEAD_CHARS, TAIL_CHARS = 400, 400
MAX_LINE_CHARS = HEAD_CHARS + TAIL_CHARS
"""The length to which a line of an error is cut; a value in it, such as a name, may have any length."""


def say(line: str) -> None:
    """Print a line for people to standard error, apart from the command's output."""
    err.print(f"[dim]{line}[/dim]", soft_wrap=True, highlight=False)


def serve(home: Path, verbose: bool = False) -> "Servers":
    """Start the servers and make this process use them; call it before Prefect or MLflow is imported."""
    from infra.home.store import check_store
    from infra.operation.servers import up

    opened = Home.open(home)
    check_store()
    servers = up(opened, say)
    use_servers(opened, servers, verbose)
    return servers


def use_servers(home: Home, servers: "Servers", verbose: bool = False) -> None:
    """Make this process use these servers; call it before Prefect or MLflow is imported."""
    from infra.operation.environment import apply_environment

    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO" if verbose else "WARNING")
    if not verbose:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_CLASS", "infra.cli.console_log.BriefConsoleHandler")
    apply_environment(home, servers.prefect_api_url, servers.mlflow_tracking_uri)


def mlflow_of(servers: "Servers", job: "JobRun") -> dict[str, str]:
    """The server, experiment and id of a job's MLflow run, for the field `mlflow` of a command's JSON output."""
    return {"tracking_uri": servers.mlflow_tracking_uri, "experiment_id": job.experiment_id, "run_id": job.run_id}


def show(generations: "Sequence[GenerationScores]", society: str, warnings: "Sequence[str]") -> None:
    """Print the tables of generations, and the warnings below them."""
    from evaluation.reporting.tables import generations_table, responses_table

    out.print(generations_table(generations, society))
    out.print(responses_table(generations, society))
    show_warnings(warnings)


def show_warnings(warnings: "Sequence[str]", console: Console = out) -> None:
    """Print each warning as a paragraph of its own, the word in front in colour."""
    for warning in warnings:
        console.print(Text.assemble(("Warning  ", "bold yellow"), warning))


@contextmanager
def faults() -> Iterator[None]:
    """Print an error that the user can fix as a message without a traceback, and exit with status 2."""
    from evaluation.registry import PluginError

    # Errors of plugins come first, since importing the other error classes loads the plugins.
    kinds: tuple[type[Exception], ...] = UserError, PluginError
    try:
        kinds = *kinds, *_faults_of_the_core()
        yield
    except kinds as error:
        print_error(str(error))
        raise SystemExit(2) from error


def print_error(message: str) -> None:
    """Print an error to standard error, with `maft:` in front of each of its lines, and long ones cut in the middle."""
    for line in message.splitlines():
        left_out = len(line) - MAX_LINE_CHARS
        # What is wrong comes first, and what would be right last.
        shown = line if left_out <= 0 else f"{line[:HEAD_CHARS]}… ({left_out:,} more characters) …{line[-TAIL_CHARS:]}"
        print(f"maft: {shown}", file=sys.stderr)


def _faults_of_the_core() -> tuple[type[Exception], ...]:
    """The core's errors about bad input; imported late, since their modules read the registries."""
    from agents.bucket import StoreError
    from agents.engines.base_model import BaseModelError
    from agents.engines.protocol import EngineError
    from agents.judging.embedding import EncoderError
    from agents.training.settings import TrainingError
    from evaluation.answers.grader import GraderError
    from evaluation.problems.problem import ProblemFileError
    from evaluation.problems.sources import OverlapError, TooFewProblemsError

    of_problems = ProblemFileError, OverlapError, TooFewProblemsError
    return BaseModelError, EncoderError, EngineError, GraderError, StoreError, TrainingError, *of_problems
