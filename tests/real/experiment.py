"""Whole jobs on the real model: `python -m tests.real.experiment 1 2 3 [--set finetune.learning_rate=0.001 ...]`.

It runs a job of two iterations on a real model for each seed, each with a home and servers of its own, and prints its
rows as soon as it has ended. The homes are kept beside the model: the same command goes on after an interruption, and
prints again what has ended. `make .venv/.real` makes the model; MAFT_REAL_MODEL names its folder.
"""

import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient

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
        report["debates"] = [debates(each["generation"], **report["mlflow"]) for each in report["generations"]]
        return report
    finally:
        Maft(environment)("down")


def debates(generation: int, *, tracking_uri: str, experiment_id: str, run_id: str) -> Counter[str]:
    """What critics made of the answer of the generator with their number, in the held-out debates that MLflow keeps."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    client = MlflowClient(tracking_uri)
    wanted = f"tags.`mlflow.parentRunId` = '{run_id}' and tags.`maft.generation` = '{generation}'"
    (run,) = client.search_runs([experiment_id], wanted)
    with TemporaryDirectory() as folder:
        table = json.loads(
            Path(client.download_artifacts(run.info.run_id, "transcripts.json", folder)).read_text("utf-8")
        )
    turns = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    right = {(turn["question"], turn["agent"]): turn["answer"] == turn["reference"] for turn in turns}
    found: Counter[str] = Counter()
    for (question, agent), after in right.items():
        if agent.startswith("critic"):
            before = right[question, agent.replace("critic", "generator")]
            found["right before" if before else "wrong before"] += 1
            found["spoiled"] += before and not after
            found["corrected"] += after and not before
    return found


def rows(seed: int, report: dict[str, Any]) -> list[str]:
    """A Markdown row for each generation, shares in %."""
    made = []
    for each in report["generations"]:
        shares = (
            one_sample(each),
            majority(each),
            each["rounds"][-1]["mean_accuracy"],
            society(each),
            each["unanswered_share"],
            each["cut_share"],
            each["pseudo_label_accuracy"],
        )
        cells = ["-" if share is None else f"{100 * share:.1f}" for share in shares]
        cells.append(", ".join(str(size) for size in each["dataset_sizes"].values()) or "-")
        made.append(f"| {seed} | {each['generation']} | {' | '.join(cells)} |")
    return made


def gains(reports: list[dict[str, Any]]) -> list[str]:
    """A Markdown row for each generation but 0: its gains over that one in points, ± standard errors between seeds."""
    seeds = [report["generations"] for report in reports]
    made = []
    for number in range(1, len(seeds[0])):
        cells = []
        for share in (one_sample, majority, society):
            each = [100 * (share(generations[number]) - share(generations[0])) for generations in seeds]
            error = f" ± {stdev(each) / math.sqrt(len(each)):.1f}" if len(each) > 1 else ""
            cells.append(f"{mean(each):+.1f}{error}")
        made.append(f"| {number} | {' | '.join(cells)} |")
    return made


def one_sample(generation: dict[str, Any]) -> float:
    return float(generation["rounds"][0]["mean_accuracy"])


def majority(generation: dict[str, Any]) -> float:
    return float(generation["rounds"][0]["majority_accuracy"])


def society(generation: dict[str, Any]) -> float:
    return float(generation["accuracy"])


def main(*arguments: str) -> None:
    """Run the jobs and print the table."""
    seeds = [int(each) for each in arguments if each.isdecimal()]
    settings = tuple(each.removeprefix("--set=") for each in arguments if not each.isdecimal() and each != "--set")
    print(f"| seed | generation | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 2)}", flush=True)
    reports = []
    for seed in seeds:
        reports.append(job(seed, settings))
        print("\n".join(rows(seed, reports[-1])), flush=True)
    print("\nmean gain over generation 0, in points\n")
    print("| generation | one sample | majority | society |\n|---|---|---|---|", *gains(reports), sep="\n")
    print("\n| generation | right answers that critics spoiled, % | wrong ones that they corrected, % |\n|---|---|---|")
    for number, each in enumerate(zip(*(report["debates"] for report in reports), strict=True)):
        found = sum(each, Counter())
        spoiled, corrected = found["spoiled"] / found["right before"], found["corrected"] / found["wrong before"]
        print(f"| {number} | {100 * spoiled:.0f} | {100 * corrected:.0f} |")
    for seed, report in zip(seeds, reports, strict=True):
        tokens = [sum(each[kind] for each in report["generations"]) for kind in ("sampled_tokens", "trained_tokens")]
        hours = sum(sum(each["seconds"].values()) for each in report["generations"]) / 3600
        print(f"seed {seed}: {hours:.2f} h of computing, {tokens[0]:,} tokens sampled, {tokens[1]:,} trained")
        print(f"  {report['verdict']['text']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
