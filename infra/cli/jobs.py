"""Commands that compute: run, evaluate, benchmark, pretrain. They start flows by entrypoint, as a deployment does."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

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
    out,
    serve,
    show,
)
from infra.home.home import DEFAULT, Home


@app.command(rich_help_panel=JOBS)
def run(
    config_file: Annotated[Path | None, typer.Argument(metavar="[CONFIG.yaml]", show_default=False)] = None,
    assignments: SetOption = None,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Prefect's log as well.")] = False,
) -> None:
    """Run the main job: finetune a society for L iterations and evaluate every generation.

    Started again after a kill it goes on where it was cut off; finished, it samples and trains nothing.
    """
    started = time.monotonic()
    with faults():
        from agents.engines import base_model
        from evaluation.problems.sources import load_problems
        from infra.config.file import load_config

        config = load_config(config_file, assignments or [])
        load_problems(config.problems, config.seed)  # Refused before anything is started or written.
        base_model.check_all(config.bases)
        config.engine.check()
        servers = serve(home, verbose)
        from infra.lineage import champion

        champion.generation(config.society, config.start_from)  # Refused before there is a flow run to fail.
        from prefect.flows import load_flow_from_entrypoint

        from infra.cli.terminal import progress_bars
        from infra.home.cache import served
        from infra.lineage.runs import run_url

        improve: Any = load_flow_from_entrypoint("flows.improve.improve")
        with progress_bars(err):
            result = improve(config)
        report = {
            "society": config.society,
            "home": str(Home.open(home).path),
            "seed": config.seed,
            "config": config.model_dump(mode="json"),
            "generations": [generation.model_dump(mode="json") for generation in result.generations],
            "verdict": result.verdict.model_dump(mode="json"),
            "mlflow": {
                "tracking_uri": servers.mlflow_tracking_uri,
                "experiment_id": result.job.experiment_id,
                "run_id": result.job.run_id,
            },
            "prefect": {"flow_run_id": result.flow_run_id},
            "cached": served["cached"],
            "seconds": round(time.monotonic() - started, 3),
        }
        if as_json:
            print(json.dumps(report))
            return
        show(result.generations, config.society)
        out.print(result.verdict.text, highlight=False, markup=False)
        picture = Home.open(home).pictures / f"{config.society}-{result.job.job}.png"
        out.print(f"Picture  {picture}", soft_wrap=True)
        out.print(f"Prefect  {servers.prefect_ui_url}/runs/flow-run/{result.flow_run_id}", soft_wrap=True)
        out.print(f"MLflow   {run_url(result.job)}", soft_wrap=True)
        out.print(f"{report['seconds']:.0f} s, {served['cached']} tasks from cache, {served['computed']} computed")


@app.command(rich_help_panel=JOBS)
def evaluate(
    society: SocietyArgument = "arith",
    generation: Annotated[
        str, typer.Option(help="base, champion, candidate, or a version of the society's registered model.")
    ] = "champion",
    problems: Annotated[
        str, typer.Option(help="arithmetic, a .jsonl, .csv or .parquet file, or hub:DATASET:SPLIT.")
    ] = "arithmetic",
    assignments: SetOption = None,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
) -> None:
    """Measure one generation on any problems; nothing is learned or promoted.

    --set takes size, max_value, seed, question_field, answer_field, engine.* and runner.*.
    """
    with faults():
        from evaluation.problems.sources import load_held_out
        from infra.config.file import load
        from infra.config.job import Measurement

        named = [f"society={json.dumps(society)}", f"generation={json.dumps(generation)}"]
        config = load(Measurement, None, [*named, f"problems={json.dumps(problems)}", *(assignments or [])])
        load_held_out(config.held_out, config.seed)
        config.engine.check()
        serve(home)
        from infra.lineage import champion

        champion.generation(society, config.generation)  # Refused before there is a flow run to fail.
        from prefect.flows import load_flow_from_entrypoint

        from infra.cli.terminal import progress_bars
        from infra.lineage.runs import run_url

        measure: Any = load_flow_from_entrypoint("flows.evaluate.evaluate")
        with progress_bars(err):
            result = measure(config)
        if as_json:
            scores = result.scores.model_dump(mode="json")
            print(json.dumps({"society": society, "scores": scores, "mlflow": {"run_id": result.job.run_id}}))
            return
        show([result.scores], society)
        out.print(f"MLflow   {run_url(result.job)}", soft_wrap=True)


def _check(config: Any) -> None:
    """Refuse a benchmark that cannot be run before anything is started or written."""
    from agents.engines import base_model
    from agents.judging.embedding import Encoder
    from evaluation.problems.sources import load_problems, load_transfer

    for seed in config.seeds:
        load_problems(config.problems, seed)
        if config.transfer:
            load_transfer(config.transfer, config.problems, seed)
    base_model.check_all([config.base_model])
    base_model.check_all(config.base_models)
    config.engine.check()
    if config.encoder:
        Encoder(config.encoder)


@app.command(rich_help_panel=JOBS)
def benchmark(
    config_file: Annotated[Path | None, typer.Argument(metavar="[CONFIG.yaml]", show_default=False)] = None,
    assignments: SetOption = None,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Prefect's log as well.")] = False,
) -> None:
    """Compare multiagent finetuning with the paper's baselines and ablations, on the same problems and seeds.

    Started again after a kill it goes on where it was cut off; finished, it samples and trains nothing.
    """
    started = time.monotonic()
    with faults():
        from infra.config.benchmark import Benchmark
        from infra.config.file import load

        config = load(Benchmark, config_file, assignments or [])
        _check(config)
        servers = serve(home, verbose)
        from prefect.flows import load_flow_from_entrypoint

        from evaluation.reporting.benchmark_table import iterations_table, methods_table, transfer_table
        from infra.cli.terminal import progress_bars
        from infra.home.cache import served
        from infra.lineage.runs import run_url

        compare: Any = load_flow_from_entrypoint("flows.benchmark.benchmark")
        with progress_bars(err):
            result = compare(config)
        if as_json:
            report = {
                "society": config.society,
                "home": str(Home.open(home).path),
                "config": config.model_dump(mode="json"),
                "rows": [row.model_dump(mode="json") for row in result.rows],
                "transfer": [row.model_dump(mode="json") for row in result.transfer],
                "measured": [each.model_dump(mode="json") for each in result.measured],
                "report": result.report,
                "mlflow": {
                    "tracking_uri": servers.mlflow_tracking_uri,
                    "experiment_id": result.job.experiment_id,
                    "run_id": result.job.run_id,
                },
                "cached": served["cached"],
                "computed": served["computed"],
                "seconds": round(time.monotonic() - started, 3),
            }
            print(json.dumps(report))
            return
        out.print(methods_table(result.rows, config.society))
        if any(row.iteration for row in result.rows):
            out.print(iterations_table(result.rows, config.society))
        if result.transfer:
            out.print(transfer_table(result.transfer, config.society))
        out.print(f"Report   {result.report}", soft_wrap=True)
        out.print(f"MLflow   {run_url(result.job)}", soft_wrap=True)
        seconds = time.monotonic() - started
        out.print(f"{seconds:.0f} s, {served['cached']} tasks from cache, {served['computed']} computed")


@app.command(rich_help_panel=JOBS)
def pretrain(
    seed: Annotated[int, typer.Option(help="Root of the training data and of the first weights.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Folder to copy the finished model to; default: it stays in the home.")
    ] = None,
    home: HomeOption = Path(DEFAULT),
) -> None:
    """Rebuild the embedded base model from scratch (about 40 minutes on 2 cores)."""
    with faults():
        serve(home)
        from prefect.flows import load_flow_from_entrypoint

        from agents.store import Store
        from infra.cli.terminal import progress_bars

        with progress_bars(err):
            rebuild: Any = load_flow_from_entrypoint("flows.pretrain.pretrain")
            trained = rebuild(seed)
        folder = Store(Home.open(home).artifacts).folder(trained.model.sha256)
        if output is not None:
            import shutil

            shutil.copytree(folder, output, dirs_exist_ok=True)
            folder = output
        out.print(f"Model    {folder}", soft_wrap=True)
