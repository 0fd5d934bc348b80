"""The base models that stay in memory while the steps of a process take turns on them: those of one society at most."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from agents.engines import base_model
from agents.engines.base_model import Bases
from agents.run import Runner

if TYPE_CHECKING:
    from agents.engines.transformers.engine import TransformersEngine
    from agents.engines.transformers.mixed import MixedEngine


_held: "WeakValueDictionary[tuple[Bases, Runner, Path], TransformersEngine | MixedEngine]" = WeakValueDictionary()


@functools.lru_cache(maxsize=1)
def resident(bases: Bases, runner: Runner, adapters: Path) -> "TransformersEngine | MixedEngine":
    """The transformers engine over the bases of a society, whose models training works on whichever engine speaks.

    Loaded at the first call; asking for those of another society lets go of these, unless somebody holds them.

    Args:
        bases: of the society.
        runner: where they are, and how many prompts are decoded at once.
        adapters: the folder that holds an adapter's folder under its SHA-256.
    """
    key = bases, runner, adapters
    if (held := _held.get(key)) is not None:
        return held
    # torch, transformers and peft take seconds to import, which a job served from cache should not wait for.
    from agents.engines.transformers.engine import TransformersEngine
    from agents.engines.transformers.mixed import MixedEngine

    engines = {
        base: TransformersEngine(
            *base_model.load(base.name, runner.device, base.trust_remote_code),
            adapters=adapters,
            batch_rows=runner.batch_rows,
        )
        for base in dict.fromkeys(bases.each)
    }
    made = MixedEngine(bases, engines) if len(engines) > 1 else engines[bases.of(0)]
    _held[key] = made
    return made
