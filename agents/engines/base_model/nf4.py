"""Bases in four bits: NF4 weights, with adapters in float32 (QLoRA, Dettmers et al. 2023, arXiv 2305.14314).

The linear layers but the head are quantised while they are loaded, by bitsandbytes. A layer multiplies with the numbers
that its four bits stand for. Adapters are not merged into such layers, since a merged weight would be rounded again.
"""

import importlib.util
from typing import TYPE_CHECKING, Any

from agents.engines.base_model.record import BaseModelError

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig, PreTrainedModel


def check_installed() -> None:
    """Refuse nf4 if bitsandbytes is not installed.

    Raises:
        BaseModelError: the message says how to install it.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise BaseModelError(
            "runner.dtype is nf4, but bitsandbytes is not installed here; install maft with its extra: "
            "pip install '.[nf4]', or set runner.dtype to bfloat16"
        )


def quantization(device: str) -> "BitsAndBytesConfig":
    """How weights are quantised: NF4 with quantised constants; products are in bfloat16, on a CPU in float32."""
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32 if device == "cpu" else torch.bfloat16,
    )


def keep_exact(model: "PreTrainedModel") -> None:
    """Keep bitsandbytes (0.50) on a CPU from repacking weights for inference, after which they have no gradients."""
    layers: list[Any] = [module for module in model.modules() if hasattr(module, "support_avx512bf16_for_cpu")]
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False


def is_quantized(model: "PreTrainedModel") -> bool:
    """Whether the model has such layers."""
    return getattr(model, "quantization_method", None) is not None
