"""`make bench`: how fast the parts are, each row a ratio measured in one run on the embedded model.

    generation   tokens per second of the engine against transformers' generate, one prompt at a time
    training     tokens per second of finetuning against bare forward+backward passes of the same tokens, and of
                 joint training against TRL run by run; memory by number of agents (`tests/bench/training.py`)
    overhead     share of the default job's time outside generation, training and evaluation; and per iteration, the
                 seconds that orchestration (Prefect, cache, votes and splits) and lineage (MLflow) take

Ratios are medians of repeats that take turns, so a machine whose speed drifts slows both sides. Run it with nothing
else running; the last rows run the whole default job in a folder of its own, twice.
"""

import itertools
import statistics
import tempfile
from pathlib import Path

import httpx
import torch
from rich.console import Console
from rich.table import Table

from agents import prompts
from agents.engines import base_model
from agents.engines.protocol import Request, Sampling
from agents.engines.transformers_engine import TransformersEngine
from agents.training.adapters import Learner
from agents.training.joint import finetune
from agents.training.sft import Encoded, Finetune, encode, ordered_batches, padded
from evaluation.problems.arithmetic import arithmetic_problems
from tests.bench import training as joint_training
from tests.bench.measure import Row, compared, quiet
from tests.conftest import Maft, free_port, plain_environment


def generation() -> Row:
    """The engine's batches against one prompt at a time."""
    model, tokenizer = base_model.load("embedded", "cpu")
    questions = [p.question for p in itertools.islice(arithmetic_problems(77), 400)]
    asked = [Request([prompts.solve(q)], None, seed, 160) for seed, q in enumerate(questions)]
    engine = TransformersEngine(model, tokenizer, Path("none"))
    plain, _ = base_model.load("embedded", "cpu")

    def batched() -> int:
        return sum(c.sampled_tokens for c in engine.complete(asked, Sampling(), quiet))

    def one_at_a_time() -> int:
        tokens = 0
        for request in asked[:12]:
            text = tokenizer.apply_chat_template([*request.messages], tokenize=False, add_generation_prompt=True)
            ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
            out = plain.generate(input_ids=ids, do_sample=True, temperature=1.0, top_p=0.9, top_k=0, max_new_tokens=160)
            tokens += out.shape[1] - ids.shape[1]
        return tokens

    return compared("generation, tokens/s: engine / one prompt at a time", batched, one_at_a_time, 30)


def training() -> Row:
    """Finetuning, everything included, against bare passes over the same batches."""
    model, tokenizer = base_model.load("embedded", "cpu")
    questions = [p.question for p in itertools.islice(arithmetic_problems(78), 240)]
    asked = [Request([prompts.solve(q)], None, seed, 160) for seed, q in enumerate(questions)]
    said = TransformersEngine(model, tokenizer, Path("none")).complete(asked, Sampling(), quiet)
    examples = [
        [*request.messages, {"role": "assistant", "content": completion.text}]
        for request, completion in zip(asked, said, strict=True)
    ]
    settings = Finetune(epochs=1)
    model, tokenizer = base_model.load("embedded", "cpu")
    raw, _ = base_model.load("embedded", "cpu")
    raw.requires_grad_(True)
    encoded = encode(examples, tokenizer)

    def tuned() -> int:
        return finetune(model, tokenizer, [Learner(examples, 1)], settings, quiet)[0].tokens

    def bare() -> int:
        for batch in ordered_batches(encoded, settings.batch_size, 1):
            bare_pass(raw, batch)
        return sum(map(len, encoded))

    return compared("training, tokens/s: finetuning / bare forward+backward", tuned, bare, 0.8)


def bare_pass(model: torch.nn.Module, batch: list[Encoded]) -> None:
    """Forward and backward of one padded batch through the whole base model, nothing else."""
    ids, labels = padded(batch)
    model(input_ids=ids, labels=labels).loss.backward()
    model.zero_grad(set_to_none=True)


def overhead() -> list[Row]:
    """The default job, then the same again."""
    with tempfile.TemporaryDirectory() as home:
        ports = {"MAFT_PREFECT_PORT": str(free_port()), "MAFT_MLFLOW_PORT": str(free_port())}
        maft = Maft({**plain_environment(), **ports, "MAFT_HOME": home})
        try:
            first = maft.json("run")
            again = maft.json("run")
            prefect = next(s["url"] for s in maft.json("status")["servers"] if s["name"] == "prefect")
            orchestration, lineage = per_iteration(prefect, first)
        finally:
            maft("down")
    stages = [seconds for generation in first["generations"] for seconds in generation["seconds"].values()]
    spent, outside = first["seconds"], first["seconds"] - sum(stages)
    return [
        (
            "default job, s: all / outside its stages",
            f"{spent:.0f}",
            f"{outside:.0f}",
            f"{outside / spent:.1%}",
            "<= 10 %",
        ),
        ("default job again, s", f"{again['seconds']:.0f}", "", "", "<= 20"),
        ("an iteration, s: outside its stages", spread(orchestration), "", "", ""),
        ("an iteration, s: lineage in MLflow", spread(lineage), "", "", ""),
    ]


def per_iteration(prefect: str, report: dict) -> tuple[list[float], list[float]]:
    """Seconds of every iteration that are neither sampling nor training, and those of registering its generation."""

    def asked(what: str, flow_runs: dict) -> list[dict]:
        return httpx.post(f"{prefect}/{what}/filter", json={"flow_runs": flow_runs}, timeout=30).json()

    job = report["prefect"]["flow_run_id"]
    iterations = asked("flow_runs", {"parent_flow_run_id": {"any_": [job]}})
    stages = {g["generation"]: sum(g["seconds"].values()) for g in report["generations"]}
    outside = [run["total_run_time"] - stages[run["parameters"]["iteration"]] for run in iterations]
    tasks = asked("task_runs", {"id": {"any_": [job]}})
    return outside, [task["total_run_time"] for task in tasks if task["name"].endswith("· register")]


def spread(seconds: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(seconds):.1f} ({min(seconds):.1f}-{max(seconds):.1f})"


def main() -> None:
    """Print the table."""
    console = Console(width=110)
    table = Table("measure", "ours", "against", "ratio: median (range)", "goal", box=None, header_style="bold")
    for row in [generation(), training(), *joint_training.rows(), *overhead()]:
        table.add_row(*row)
    console.print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    console.print(table)


main()
