"""Commands that compute: run, evaluate, benchmark, pretrain. They start flows by entrypoint, as a deployment does.

Each command with a config loads it and refuses what cannot run, before it starts or writes anything.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.shared import (
    JOBS,
    HomeOption,
    JsonOption,
    SetOption,
    SocietyArgument,
    app,
    err,
    faults,
    mlflow_of,
    out,
    serve,
    show,
    show_warnings,
)
from infra.home.home import DEFAULT, Home

if TYPE_CHECKING:
    from infra.config.benchmark import Benchmark
    from infra.config.job import Config, Measurement

VerboseOption = Annotated[bool, typer.Option("--verbose", help="Also show Prefect's log.")]


@dataclass(frozen=True)
class Computed:
    """The outcome of a finished flow."""

    result: Any
    """The value that the flow returned."""
    cached: int
    """The number of tasks whose results came from the cache."""
    computed: int
    seconds: float
    """The time since the command began."""


def _compute(flow: str, config: "Config | Measurement | Benchmark", started: float) -> Computed:
    """Run a flow, with a progress bar for each of its steps; the servers must be up.

    Args:
        flow: its entrypoint, MODULE.NAME.
        config: the flow's only argument.
        started: the time when the command began, from `time.monotonic`.
    """
    result = _run_flow(flow, config)
    from infra.home.cache import served

    seconds = round(time.monotonic() - started, 3)
    return Computed(result, cached=served["cached"], computed=served["computed"], seconds=seconds)


def _show_end(done: Computed) -> None:
    """Print the last lines: the page of the job's MLflow run, the time, and the number of tasks."""
    from infra.lineage.runs import run_url

    out.print(f"MLflow   {run_url(done.result.job)}", soft_wrap=True)
    out.print(f"{done.seconds:.0f} s, {done.cached} tasks from cache, {done.computed} computed")


def _require_generation(society: str, which: str) -> None:
    """Refuse a generation that does not exist before a flow run starts, since that flow run would fail."""
    from infra.lineage import champion

    champion.generation(society, which)


def _run_flow(flow: str, argument: Any) -> Any:
    from prefect.flows import load_flow_from_entrypoint

    from infra.cli.terminal import progress_bars

    loaded: Any = load_flow_from_entrypoint(flow)
    with progress_bars(err):
        return loaded(argument)


@app.command(rich_help_panel=JOBS)
def run(
    config_file: Annotated[Path | None, typer.Argument(metavar="[CONFIG.yaml]", show_default=False)] = None,
    assignments: SetOption = None,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Run the main job: finetune a society for L iterations and evaluate every generation.

    After a kill, the same command continues where the job stopped; after the end, it samples and trains nothing.
    """
    started = time.monotonic()
    with faults():
        from infra.config.check import check_job
        from infra.config.file import load_config

        config = load_config(config_file, assignments or [])
        check_job(config)
        servers = serve(home, verbose)
        _require_generation(config.society, config.start_from)
        done = _compute("flows.improve.improve", config, started)
        from infra.lineage.view import comparison_url

        result, folder = done.result, Home.open(home)
        report = {
            "society": config.society,
            "home": str(folder.path),
            "seed": config.seed,
            "config": config.model_dump(mode="json"),
            "generations": [generation.model_dump(mode="json") for generation in result.generations],
            "verdict": result.verdict.model_dump(mode="json"),
            "warnings": result.warnings,
            **({"spent": result.spent.model_dump(mode="json")} if result.spent else {}),
            "mlflow": mlflow_of(servers, result.job),
            "prefect": {"flow_run_id": result.flow_run_id},
            "cached": done.cached,
            "seconds": done.seconds,
        }
        if as_json:
            print(json.dumps(report))
            return
        show(result.generations, config.society, result.warnings)
        out.print(result.verdict.text, highlight=False, markup=False)
        if result.spent:
            out.print(f"Paid     {result.spent.in_words}", soft_wrap=True, highlight=False, markup=False)
        out.print(f"Picture  {folder.pictures / f'{config.society}-{result.job.job}.png'}", soft_wrap=True)
        out.print(f"Prefect  {servers.prefect_ui_url}/runs/flow-run/{result.flow_run_id}", soft_wrap=True)
        out.print(f"Compare  {comparison_url(result.job.experiment_id)}", soft_wrap=True)
        _show_end(done)


@app.command(rich_help_panel=JOBS)
def evaluate(
    society: SocietyArgument = "arith",
    generation: Annotated[
        str, typer.Option(help="base, champion, candidate, or a version of the society's registered model.")
    ] = "champion",
    problems: Annotated[
        str, typer.Option(help="arithmetic, a .jsonl, .json, .csv or .parquet file, or hub:DATASET:SPLIT.")
    ] = "arithmetic",
    assignments: SetOption = None,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
) -> None:
    """Measure one generation on any problems; nothing is trained or promoted.

    --set takes size, max_value, levels, subjects, seed, question_field, answer_field, choices_field, duplicates,
    engine.* and runner.*.
    """
    with faults():
        from evaluation.problems.sources import load_held_out
        from infra.config.file import load
        from infra.config.job import Measurement

        named = [f"society={json.dumps(society)}", f"generation={json.dumps(generation)}"]
        config = load(Measurement, None, [*named, f"problems={json.dumps(problems)}", *(assignments or [])])
        load_held_out(config.held_out, config.seed)
        config.runner.check()
        config.engine.check()
        serve(home)
        from infra.lineage import champion
        from infra.lineage.runs import newest_job, run_url

        if champion.generation(society, config.generation) is None:
            newest_job(society)  # Refuses an unknown society before a flow run starts, since that flow run would fail.
        result = _run_flow("flows.evaluate.evaluate", config)
        if as_json:
            scores = result.scores.model_dump(mode="json")
            own = {"society": society, "scores": scores, "warnings": result.warnings}
            print(json.dumps({**own, "mlflow": {"run_id": result.job.run_id}}))
            return
        show([result.scores], society, result.warnings)
        out.print(f"MLflow   {run_url(result.job)}", soft_wrap=True)


def _check(config: "Benchmark") -> None:
    """Refuse a benchmark that cannot run, before anything is started or written."""
    from agents.judging.embedding import Encoder
    from evaluation.problems.sources import load_problems, load_transfer
    from infra.config.bases import check_bases

    for seed in config.seeds:
        load_problems(config.problems, seed, grader=config.answers)
        if config.transfer:
            load_transfer(config.transfer, config.problems, seed, grader=config.answers)
    config.runner.check()
    config.engine.check()
    for names in config.sets_of_bases:
        check_bases(config, names)
    if config.encoder:
        Encoder(config.encoder)


@app.command(rich_help_panel=JOBS)
def benchmark(
    config_file: Annotated[Path | None, typer.Argument(metavar="[CONFIG.yaml]", show_default=False)] = None,
    assignments: SetOption = None,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Compare multiagent finetuning with the paper's baselines and ablations, on the same problems and seeds.

    After a kill, the same command continues where it stopped; after the end, it samples and trains nothing.
    """
    started = time.monotonic()
    with faults():
        from infra.config.benchmark import Benchmark
        from infra.config.file import load

        config = load(Benchmark, config_file, assignments or [])
        _check(config)
        servers = serve(home, verbose)
        done = _compute("flows.benchmark.benchmark", config, started)
        result = done.result
        if as_json:
            report = {
                "society": config.society,
                "home": str(Home.open(home).path),
                "config": config.model_dump(mode="json"),
                "rows": [row.model_dump(mode="json") for row in result.rows],
                "transfer": [row.model_dump(mode="json") for row in result.transfer],
                "measured": [each.model_dump(mode="json") for each in result.measured],
                "warnings": result.warnings,
                "report": result.report,
                "mlflow": mlflow_of(servers, result.job),
                "cached": done.cached,
                "computed": done.computed,
                "seconds": done.seconds,
            }
            print(json.dumps(report))
            return
        from evaluation.reporting.benchmark_table import (
            iterations_table,
            methods_table,
            responses_table,
            transfer_table,
        )

        out.print(methods_table(result.rows, config.society))
        if any(row.iteration for row in result.rows):
            out.print(iterations_table(result.rows, config.society))
        if result.transfer:
            out.print(transfer_table(result.transfer, config.society))
        out.print(responses_table(result.rows, config.society))
        show_warnings(result.warnings)
        out.print(f"Report   {result.report}", soft_wrap=True)
        _show_end(done)


@app.command(rich_help_panel=JOBS)
def pretrain(
    seed: Annotated[int, typer.Option(help="Decides the training data and the initial weights.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Folder to copy the finished model to; default: the model stays in the home.")
    ] = None,
    home: HomeOption = Path(DEFAULT),
) -> None:
    """Rebuild the embedded base model from scratch (about 40 minutes on 2 cores)."""
    with faults():
        serve(home)
        trained = _run_flow("flows.pretrain.pretrain", seed)
        from infra.home.store import store_of

        folder = store_of(Home.open(home)).folder(trained.model.sha256)
        if output is not None:
            import shutil

            shutil.copytree(folder, output, dirs_exist_ok=True)
            folder = output
        out.print(f"Model    {folder}", soft_wrap=True)
