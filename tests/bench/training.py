"""Training of all agents together, against bare passes and against TRL's SFTTrainer once per agent; its memory.

    python -m tests.bench.training      prints only these rows; `memory N` prints the memory of one process

Both sides train LoRA of the same rank on the same examples with the same batch size, AdamW and schedule. The examples
are as long as those of a default job: short ones for generators, conversations of three turns for critics.
"""

import itertools
import logging
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from peft import LoraConfig

from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.engines.chat import Message
from agents.training.examples import encode, ordered_batches, padded
from agents.training.learner import Learner
from agents.training.methods.sft import Sft
from agents.training.settings import ALL_LINEAR
from agents.training.sft.train import finetune
from evaluation.problems.arithmetic import arithmetic_problems
from tests.bench.measure import DEVICE, REPEATS, Row, compared, quiet, rate, spread, table

MIB = 2**20
EXAMPLES = 120
"""The number of examples of each agent; agents of a default job have 45 to 131."""


def datasets(agents: int, count: int) -> list[list[list[Message]]]:
    """`count` examples for each of `agents` generators and as many critics."""
    asked = [problem.question for problem in itertools.islice(arithmetic_problems(79), count)]
    # An answer has some hundred tokens, as those of the embedded model have.
    answers = ["First the products. " * (8 + place % 5) + f"The result is {place}." for place in range(count)]
    generators = [[DEFAULT.first(q), said(text)] for q, text in zip(asked, answers, strict=True)]
    critics = [
        [*example, DEFAULT.again(q, example[-1]["content"]), said(answers[-1 - place])]
        for place, (q, example) in enumerate(zip(asked, generators, strict=True))
    ]
    return [generators] * agents + [critics] * agents


def said(text: str) -> Message:
    return {"role": "assistant", "content": text}


def rows() -> Iterator[Row]:
    """The rows: the default size with and without loading the base, memory, other numbers of agents and batch sizes."""
    default = Sft(epochs=1)
    yield against_bare_passes(default)
    name = "training of all agents (N=3), tokens/s: joint / TRL, agent by agent"
    yield against_trl(name, 3, EXAMPLES, default, True, 2)
    yield against_trl("  the base loaded before", 3, EXAMPLES, default, False, 2)
    if DEVICE == "cpu":
        yield from memory_rows()
    for agents, size, count in [(5, 8, 16), (10, 8, 8), (3, 2, 16), (3, 16, 32)]:
        settings = Sft(epochs=1, batch_size=size)
        yield against_trl(f"training, N={agents}, batches of {size}", agents, count, settings, False, None)


def against_bare_passes(settings: Sft) -> Row:
    """The row for the training of one adapter, against forward and backward passes of the base on the same batches."""
    (data,) = datasets(1, 240)[:1]
    model, tokenizer = base_model.load("embedded", DEVICE)
    raw, _ = base_model.load("embedded", DEVICE)
    raw.requires_grad_(True)
    encoded = encode(data, tokenizer)

    def tuned() -> int:
        return finetune(model, tokenizer, [Learner(data, 1)], settings, quiet)[0].tokens

    def bare() -> int:
        for batch in ordered_batches(encoded, settings.batch_size, 1):
            ids, labels = padded(batch)
            raw(input_ids=ids.to(DEVICE), labels=labels.to(DEVICE)).loss.backward()
            raw.zero_grad(set_to_none=True)
        return sum(map(len, encoded))

    return compared("training of one adapter, tokens/s: ours / bare passes of the base", rate(tuned), rate(bare), 0.8)


def against_trl(
    name: str, agents: int, count: int, settings: Sft, loads: bool, goal: float | None, base: str = "embedded"
) -> Row:
    """The row for joint training of 2 x `agents` adapters, against the same number of TRL runs."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    data = datasets(agents, count)
    model, tokenizer = base_model.load(base, DEVICE)
    tokens = sum(t.tokens for t in finetune(model, tokenizer, [Learner(d, 1) for d in data], settings, quiet))

    def together() -> int:
        loaded = base_model.load(base, DEVICE) if loads else (model, tokenizer)
        trained = finetune(*loaded, [Learner(d, 1) for d in data], settings, quiet)
        for adapter in trained:
            with tempfile.TemporaryDirectory() as folder:
                adapter.save(Path(folder))
        return sum(adapter.tokens for adapter in trained)

    def run_by_run() -> int:
        for examples in data:
            with tempfile.TemporaryDirectory() as folder:
                trl_run(folder, base_model.load(base, DEVICE) if loads else (model, tokenizer), examples, settings)
        return tokens

    return compared(name, rate(together), rate(run_by_run), goal)


def trl_run(folder: str, loaded: tuple, examples: list[list[Message]], settings: Sft) -> None:
    """Train one agent as a user of TRL would."""
    from datasets import Dataset, disable_progress_bars
    from transformers.trainer_callback import PrinterCallback, ProgressCallback
    from trl import SFTConfig, SFTTrainer

    disable_progress_bars()
    model, tokenizer = loaded
    arguments = SFTConfig(
        output_dir=folder,
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.05,
        max_grad_norm=1.0,
        weight_decay=0.0,
        max_length=None,
        use_cpu=DEVICE == "cpu",
        bf16=model.dtype == torch.bfloat16,
        gradient_checkpointing=False,
        completion_only_loss=True,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    trainer = SFTTrainer(
        model,
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": e[:-1], "completion": e[-1:]} for e in examples]),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=settings.rank, lora_alpha=settings.alpha, target_modules=ALL_LINEAR, task_type="CAUSAL_LM"
        ),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.train()
    trainer.save_model(folder)
    trainer.model.unload()
    model.eval().requires_grad_(False)


def memory_rows() -> Iterator[Row]:
    """The rows for peak memory of joint training by number of agents, and for the memory of one more agent."""
    peaks: dict[int, list[float]] = {n: [] for n in (3, 5, 10)}
    for _ in range(REPEATS):
        for agents, found in peaks.items():
            command = [sys.executable, "-m", "tests.bench.training", "memory", str(agents)]
            found.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]))
    for agents, found in peaks.items():
        yield f"training N={agents}, peak MiB of the process", spread(found, 0), "", "", ""
    # An adapter's memory: weights, gradients and AdamW's two moments, in float32.
    own = 4 * 4 * adapter_parameters() / MIB
    costs = sorted((ten - three) / 14 for three, ten in zip(peaks[3], peaks[10], strict=True))
    ratio = [cost / own for cost in costs]
    yield (
        "an adapter more, MiB: measured / its weights, gradients and moments",
        f"{statistics.median(costs):.1f}",
        f"{own:.1f}",
        spread(ratio, 2),
        "",
    )


def adapter_parameters() -> int:
    """The number of parameters of an adapter of default rank."""
    loaded = base_model.load("embedded", "cpu")
    (trained,) = finetune(*loaded, [Learner(datasets(1, 1)[0], 1)], Sft(epochs=1), quiet)
    return sum(weight.numel() for weight in trained.weights.values())


def memory(agents: int) -> float:
    """The peak memory of this process in MiB after joint steps."""
    loaded = base_model.load("embedded", "cpu")
    finetune(*loaded, [Learner(d, 1) for d in datasets(agents, 16)], Sft(epochs=1), quiet)
    # The peak of getrusage includes that of the process that started this one, so it cannot be used.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / MIB


def main() -> None:
    """Print the rows, or the memory of one process."""
    if sys.argv[1:2] == ["memory"]:
        print(memory(int(sys.argv[2])))
        return
    table(rows())


if __name__ == "__main__":
    main()
