"""Memory that this process and its GPU have taken, and what a prompt in a batch takes."""

from pathlib import Path
from typing import Any

from agents.engines.transformers.resident import resident
from agents.run import Run

LOGIT_BYTES = 40
"""Bytes per entry of the vocabulary while a token is chosen: the logits, and copies of them that are sorted."""


def process_peak_bytes() -> int:
    """The peak memory of this process.

    It is read from the kernel: the peak of `getrusage` may be that of the process that started this one.
    """
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("ascii").splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


def peak_bytes(run: Run) -> int:
    """The peak memory of the device that runs the base models: a GPU, or this process."""
    if not on_gpu(run):
        return process_peak_bytes()
    import torch

    return max(torch.cuda.max_memory_reserved(device) for device in range(torch.cuda.device_count()))


def on_gpu(run: Run) -> bool:
    """Whether the base models of this process are on a GPU."""
    return bool(_model(run, 0).device.type == "cuda")


def row_bytes(run: Run, longest: int) -> int:
    """The memory of one prompt in a batch: keys and values of all its tokens, and the logits of the next token.

    Args:
        run: the base models; the memory is that of agent 0's.
        longest: tokens of the longest prompt and its response together.

    Returns:
        Bytes; 0 if the engine's model is not in this process.
    """
    if not run.engine.reads_likelihoods:
        return 0
    model = _model(run, 0)
    shape = model.config.get_text_config()
    heads = getattr(shape, "num_key_value_heads", None) or shape.num_attention_heads
    width = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    cached = 2 * shape.num_hidden_layers * heads * width * model.dtype.itemsize * longest
    return int(cached + LOGIT_BYTES * shape.vocab_size)


def _model(run: Run, index: int) -> Any:
    return resident(run.bases, run.runner, run.store.folders).of(index).model
