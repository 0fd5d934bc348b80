"""Memory that this process and its GPU have taken, and what a prompt in a batch takes."""

from pathlib import Path

from agents.engines.transformers.resident import loaded, resident
from agents.run import Run


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
    """Whether this process has base models, and has them on a GPU."""
    _, here = run.sides[0]
    engine = loaded(here.bases, here.runner, here.store.folders)
    return engine is not None and engine.of(0).model.device.type == "cuda"


def prompt_bytes(run: Run, longest: int) -> int:
    """The memory of one prompt in a batch of agent 0's base model.

    Args:
        run: the base models and the engine.
        longest: tokens of the longest prompt and its response together.

    Returns:
        Bytes; 0 if the engine's model is not in this process.
    """
    index, here = run.sides[0]
    if not here.engine.in_process:
        return 0
    return resident(here.bases, here.runner, here.store.folders).of(index).memory.of(longest)
