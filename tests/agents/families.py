"""Tiny base models of many architectures, with random weights, made on the spot."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import (
    DeepseekV3Config,
    FalconConfig,
    Glm4Config,
    GPT2Config,
    GPTNeoXConfig,
    GptOssConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    NemotronConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    StableLmConfig,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

VOCABULARY = 512
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.2,
    "tie_word_embeddings": False, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
EXPERTS: dict[str, Any] = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
LATENT: dict[str, Any] = {
    "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
    "num_key_value_heads": 4, "n_routed_experts": 4, "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1,
}  # fmt: skip
PLAIN: dict[str, Callable[[], PreTrainedConfig]] = {
    "llama": lambda: LlamaConfig(**SIZES),
    "qwen2": lambda: Qwen2Config(**SIZES),
    "qwen3": lambda: Qwen3Config(**SIZES, head_dim=16),
    "mistral": lambda: MistralConfig(**SIZES, sliding_window=8),
    "phi3": lambda: Phi3Config(**SIZES),
    "glm4": lambda: Glm4Config(**SIZES, head_dim=8),
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=256, resid_pdrop=0, embd_pdrop=0,
        attn_pdrop=0,
    ),
    "gpt_neox": lambda: GPTNeoXConfig(**SIZES),
    "falcon": lambda: FalconConfig(**SIZES, new_decoder_architecture=False),
    "stablelm": lambda: StableLmConfig(**SIZES),
    "nemotron": lambda: NemotronConfig(**SIZES),
}  # fmt: skip
"""Models without experts and without dropout."""
EXPERTS_OF: dict[str, Callable[[], PreTrainedConfig]] = {
    "qwen3_moe": lambda: Qwen3MoeConfig(**SIZES, **EXPERTS, num_experts=4, head_dim=8),
    "deepseek_v3": lambda: DeepseekV3Config(**{**SIZES, **EXPERTS, **LATENT}),
    "mixtral": lambda: MixtralConfig(**SIZES, num_experts_per_tok=2, num_local_experts=4),
    "gpt_oss": lambda: GptOssConfig(**SIZES, num_experts_per_tok=2, num_local_experts=4, head_dim=8),
}
"""Models with experts, each of which gets a part of the tokens."""
FAMILIES = {**PLAIN, **EXPERTS_OF, "dropout": lambda: LlamaConfig(**SIZES, attention_dropout=0.1)}


def tiny(family: str) -> Any:
    """A model of the family; the same weights at every call."""
    torch.manual_seed(5)
    return built(FAMILIES[family]()).eval().requires_grad_(False)


def on_meta(family: str) -> Any:
    """The same model without weights."""
    with torch.device("meta"):
        return built(FAMILIES[family]())


def built(config: PreTrainedConfig) -> PreTrainedModel:
    made: PreTrainedModel = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config)
    return made
