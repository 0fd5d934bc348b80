"""The one base model that stays in memory while the tasks of a process take turns on it."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from agents.engines import base_model
from agents.engines.base_model import Base

if TYPE_CHECKING:
    from agents.engines.transformers_engine import TransformersEngine


@functools.lru_cache(maxsize=1)
def resident(base: Base, device: str, batch_rows: int, adapters: Path) -> "TransformersEngine":
    """The engine over `base`, loaded at the first call; asking for another base lets go of this one."""
    # torch, transformers and peft take seconds to import, which a job served from cache should not wait for.
    from agents.engines.transformers_engine import TransformersEngine

    model, tokenizer = base_model.load(base.name, device, base.trust_remote_code)
    return TransformersEngine(model, tokenizer, adapters, batch_rows)
