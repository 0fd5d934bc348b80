"""Whole jobs on the real model: `python -m tests.real.experiment 1 2 3 [--set finetune.learning_rate=0.001 ...]`.

It runs a job of two iterations on a real model for each seed, each with a home and servers of its own, and prints its
rows as soon as it has ended. The homes are kept beside the model: the same command goes on after an interruption, and
prints again what has ended. `make .venv/.real` makes the model; MAFT_REAL_MODEL names its folder.
"""

import json
import math
import subprocess
import sys
from typing import Any

from tests.conftest import Maft, free_port, plain_environment
from tests.real import MODEL
from tests.real.questions import write_questions

SETTINGS = (
    "society=real",
    "runner.dtype=bfloat16",
    "problems.train_size=80",
    "problems.evaluation_size=60",
    "sampling.max_new_tokens=64",
    "sampling.max_summary_tokens=64",
    "sampling.temperature=0.7",
    "finetune.learning_rate=0.0005",
)
COLUMNS = ("one sample", "majority", "critics", "society", "without answer", "cut", "labels right", "examples")


def job(seed: int, settings: tuple[str, ...]) -> dict[str, Any]:
    """The report of a job, as `maft run --json` prints it."""
    home = MODEL.with_name(f"{MODEL.name}-seed-{seed}")
    home.mkdir(exist_ok=True)
    ports = {"MAFT_PREFECT_PORT": str(free_port()), "MAFT_MLFLOW_PORT": str(free_port())}
    environment = {**plain_environment(), **ports, "MAFT_HOME": str(home)}
    own = f"base_model={MODEL}", f"problems.train={write_questions(home / 'products.jsonl')}", f"seed={seed}"
    options = [f"--set={each}" for each in (*SETTINGS, *own, *settings)]
    try:
        run = [sys.executable, "-m", "infra", "run", *options, "--json"]
        report: dict[str, Any] = json.loads(
            subprocess.run(run, env=environment, stdout=subprocess.PIPE, check=True).stdout
        )
        return report
    finally:
        Maft(environment)("down")


def rows(seed: int, report: dict[str, Any]) -> list[str]:
    """A Markdown row for each generation, shares in %."""
    made = []
    for each in report["generations"]:
        first, last = each["rounds"][0], each["rounds"][-1]
        shares = (
            first["mean_accuracy"],
            first["majority_accuracy"],
            last["mean_accuracy"],
            each["accuracy"],
            each["unanswered_share"],
            each["cut_share"],
            each["pseudo_label_accuracy"],
        )
        cells = ["-" if share is None else f"{100 * share:.1f}" for share in shares]
        cells.append(", ".join(str(size) for size in each["dataset_sizes"].values()) or "-")
        made.append(f"| {seed} | {each['generation']} | {' | '.join(cells)} |")
    return made


def gain(reports: list[dict[str, Any]]) -> str:
    """The society's mean gain over the seeds, with the standard error between them."""
    gains = [report["generations"][-1]["accuracy"] - report["generations"][0]["accuracy"] for report in reports]
    mean = sum(gains) / len(gains)
    if len(gains) < 2:
        return f"gain {100 * mean:+.1f}"
    error = math.sqrt(sum((each - mean) ** 2 for each in gains) / (len(gains) - 1) / len(gains))
    return f"gain {100 * mean:+.1f} ± {100 * error:.1f} points (mean of {len(gains)} seeds, ± its standard error)"


def main(*arguments: str) -> None:
    """Run the jobs and print the table."""
    seeds = [int(each) for each in arguments if each.isdecimal()]
    settings = tuple(each.removeprefix("--set=") for each in arguments if not each.isdecimal() and each != "--set")
    print(f"| seed | generation | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 2)}", flush=True)
    reports = []
    for seed in seeds:
        reports.append(job(seed, settings))
        print("\n".join(rows(seed, reports[-1])), flush=True)
    print(f"\n{gain(reports)}")
    for seed, report in zip(seeds, reports, strict=True):
        tokens = [sum(each[kind] for each in report["generations"]) for kind in ("sampled_tokens", "trained_tokens")]
        hours = sum(sum(each["seconds"].values()) for each in report["generations"]) / 3600
        print(f"seed {seed}: {hours:.2f} h of computing, {tokens[0]:,} tokens sampled, {tokens[1]:,} trained")
        print(f"  {report['verdict']['text']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
