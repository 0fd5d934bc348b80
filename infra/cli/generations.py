"""Commands that use finished generations and benchmarks: compare, report, ask, promote, rollback."""

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.shared import (
    GENERATIONS,
    HomeOption,
    JsonOption,
    SocietyArgument,
    app,
    err,
    faults,
    mlflow_of,
    out,
    serve,
    show,
)
from infra.errors import UserError
from infra.home.home import DEFAULT, Home

if TYPE_CHECKING:
    from infra.lineage.champion import Move

WhyOption = Annotated[str, typer.Option(help="The reason, for the record.")]


@app.command(rich_help_panel=GENERATIONS)
def compare(
    society: SocietyArgument = "arith",
    run_id: Annotated[str | None, typer.Option("--run", help="An MLflow run of the society; default: newest.")] = None,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
) -> None:
    """Show the generations of a job side by side, read from MLflow."""
    with faults():
        servers = serve(home)
        from evaluation.reporting.advice import generation_warnings
        from infra.lineage.runs import token_limit
        from infra.lineage.scores import read_generations

        job, generations = read_generations(society, run_id)
        warnings = generation_warnings(generations, token_limit(job))
        if as_json:
            print(
                json.dumps(
                    {
                        "society": society,
                        "mlflow": mlflow_of(servers, job),
                        "generations": [generation.model_dump(mode="json") for generation in generations],
                        "warnings": warnings,
                    }
                )
            )
        else:
            show(generations, society, warnings)


@app.command(rich_help_panel=GENERATIONS)
def report(
    run_id: Annotated[
        str | None, typer.Argument(metavar="[RUN_ID]", help="MLflow run of a benchmark; default: newest finished.")
    ] = None,
    society: Annotated[str, typer.Option(help="The society whose newest benchmark is read without RUN_ID.")] = "arith",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Where to write the page; default: in the home.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write the page, tables (markdown), pictures and data to a folder."),
    ] = None,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
) -> None:
    """Write a finished benchmark as one HTML page: which of the paper's findings hold, by how much, at what cost."""
    with faults():
        if output and not output.absolute().parent.is_dir():
            raise UserError(f"--output {output}: there is no folder {output.absolute().parent}")
        if output and output.is_dir():
            raise UserError(f"--output {output} is a folder; name a file in it")
        if output and output.suffix != ".html":
            raise UserError(f"--output {output}: the page is HTML; name a file that ends in .html")
        if folder and not (folder.is_dir() or (folder.absolute().parent.is_dir() and not folder.exists())):
            raise UserError(f"--folder {folder}: name a folder, or a new folder in one that exists")
        servers = serve(home)
        from infra.cli import benchmark_folder
        from infra.lineage import benchmark
        from infra.lineage.runs import run_url

        made = benchmark.read_benchmark(society, run_id)
        job = benchmark.job_run(made)
        path = (output or benchmark.page_of(Home.open(home), job)).absolute()
        benchmark.publish(made, path)
        files = benchmark_folder.export(made, folder.absolute()) if folder else []
        findings = made.findings
        if as_json:
            told = {
                "society": job.society,
                "report": str(path),
                "files": [str(file) for file in files],
                "findings": [finding.model_dump(mode="json") for finding in findings],
                "mlflow": mlflow_of(servers, job),
            }
            print(json.dumps(told))
            return
        for finding in findings:
            out.print(f"{finding.verdict:<13} {finding.title}", markup=False, highlight=False)
        out.print(f"Report   {path}", soft_wrap=True, markup=False)
        if folder:
            out.print(f"Files    {folder.absolute()}: {', '.join(file.name for file in files)}", soft_wrap=True)
        out.print(f"MLflow   {run_url(job)}", soft_wrap=True)


@app.command(rich_help_panel=GENERATIONS)
def ask(
    question: Annotated[str, typer.Argument(help="What to ask, such as 'What is the result of 3+4*5+6-7*8?'.")],
    society: Annotated[str, typer.Option(help="Name of the society.")] = "arith",
    version: Annotated[str, typer.Option(help="champion, candidate, or a version number.")] = "champion",
    seed: Annotated[int, typer.Option(min=0, help="Decides the sampled responses.")] = 0,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
) -> None:
    """Let a society generate, debate and vote on a question of yours."""
    with faults():
        serve(home)
        from infra.cli.asking import ask_society, show_answer

        with err.status("the society debates"):
            answer = ask_society(society, version, question, seed)
        if as_json:
            print(json.dumps(answer))
        else:
            show_answer(out, answer)


@app.command(rich_help_panel=GENERATIONS)
def promote(
    society: SocietyArgument = "arith",
    version: Annotated[
        str, typer.Option(help="Version of the society's registered model, or candidate.")
    ] = "candidate",
    why: WhyOption = "by hand",
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
) -> None:
    """Make a generation the champion: the society and all its agents together."""
    with faults():
        serve(home)
        from infra.lineage import champion

        _show_move(champion.promote(society, version, who=getpass.getuser(), why=why), as_json)


@app.command(rich_help_panel=GENERATIONS)
def rollback(
    society: SocietyArgument = "arith",
    why: WhyOption = "by hand",
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
) -> None:
    """Make the previous champion the champion again."""
    with faults():
        serve(home)
        from infra.lineage import champion

        _show_move(champion.rollback(society, who=getpass.getuser(), why=why), as_json)


def _show_move(move: "Move", as_json: bool) -> None:
    """Print the move, or that no move was needed."""
    if as_json:
        print(json.dumps(move.model_dump(mode="json")))
    else:
        out.print(move.summary(), markup=False, highlight=False)
