"""The base models that stay in memory between the steps of a process; at most those of one society."""

import functools
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from agents.engines import base_model
from agents.engines.base_model import Bases

if TYPE_CHECKING:
    from agents.engines.transformers.engine import TransformersEngine
    from agents.engines.transformers.mixed import MixedEngine
    from agents.runners.settings import Runner


TURN = threading.RLock()
"""Held by the one thread that uses the models while others may want to: an agent's adapter changes their weights."""
_held: "WeakValueDictionary[tuple[Bases, Runner, Path], TransformersEngine | MixedEngine]" = WeakValueDictionary()


@functools.lru_cache(maxsize=1)
def resident(bases: Bases, runner: "Runner", adapters: Path) -> "TransformersEngine | MixedEngine":
    """The transformers engine on the bases of a society; training uses its models, whichever engine samples.

    The models are loaded at the first call. A call for another society releases them, unless other code still holds
    them.

    Args:
        bases: the base models of the society.
        runner: the device of the models, how many prompts are decoded at once, and the threads of this process.
        adapters: the folder that holds an adapter's folder under its SHA-256.
    """
    key = bases, runner, adapters
    if (held := _held.get(key)) is not None:
        return held
    # torch, transformers and peft take seconds to import, which a job served from cache should not wait for.
    with _no_garbage_collection():
        from agents.engines.transformers.engine import TransformersEngine
        from agents.engines.transformers.mixed import MixedEngine

    if runner.threads:
        import torch

        torch.set_num_threads(runner.threads)
    engines = {
        base: TransformersEngine(
            *base_model.load(
                base.source,
                runner.device,
                base.trust_remote_code,
                dtype=base.dtype,
                chat_template=base.chat_template,
            ),
            adapters=adapters,
            batch_rows=runner.batch_rows,
        )
        for base in dict.fromkeys(bases.each)
    }
    made = MixedEngine(bases, engines) if len(engines) > 1 else engines[bases.of(0)]
    _held[key] = made
    return made


def loaded(bases: Bases, runner: "Runner", adapters: Path) -> "TransformersEngine | MixedEngine | None":
    """The engine that `resident` gives, if it is in memory; arguments as there."""
    return _held.get((bases, runner, adapters))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Imports make many objects and no garbage; looking for it would take a sixth of their time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
