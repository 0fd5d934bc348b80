"""Tiny models of the families that people finetune: random weights, made on the spot, with templates in their manner.

Windows and chunks of attention are shorter than the prompts of the tests, and layers of all kinds of a family occur.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.families import templates
from tests.families.templates import Template
from tests.families.tokenizer import VOCABULARY, tokenizer_of


@dataclass(frozen=True)
class Family:
    """A family of models."""

    title: str
    """Its published name."""
    config: str
    """Name of its config class in transformers."""
    template: Template
    sizes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the config besides SIZES."""
    without: tuple[str, ...] = ()
    """Fields of SIZES that this config does not have."""


SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
}
OLD = ("intermediate_size", "num_key_value_heads")
"""Fields of SIZES that configs from before 2023 do not have."""
MIXED = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
LINEAR = {
    "num_hidden_layers": 4,
    "layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"],
    "head_dim": 8,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_chunk_size": 8}
DEEPSEEK = {
    "num_key_value_heads": 4, "moe_intermediate_size": 24, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "kv_lora_rank": 8, "q_lora_rank": 8,
    "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8,
}  # fmt: skip

FAMILIES: dict[str, Family] = {
    "llama3": Family("Llama 3", "LlamaConfig", templates.LLAMA3),
    "llama4": Family(
        "Llama 4", "Llama4TextConfig", templates.LLAMA4,
        {"head_dim": 8, "intermediate_size_mlp": 48, "num_local_experts": 2, "interleave_moe_layer_step": 2,
         "attention_chunk_size": 8, "num_hidden_layers": 4},
    ),
    "mistral": Family("Mistral 7B", "MistralConfig", templates.MISTRAL, {"sliding_window": 8}),
    "ministral": Family("Ministral 8B", "MinistralConfig", templates.MISTRAL, {**MIXED, "head_dim": 8}),
    "ministral3": Family("Ministral 3", "Ministral3Config", templates.MISTRAL, {"head_dim": 8}),
    "mixtral": Family("Mixtral", "MixtralConfig", templates.MISTRAL, {"num_local_experts": 4}),
    "phi3": Family("Phi-3, Phi-4-mini", "Phi3Config", templates.PHI3, {"pad_token_id": 0}),
    "phi4": Family("Phi-4 (Phi-3's layers)", "Phi3Config", templates.PHI4, {"pad_token_id": 0, "sliding_window": 8}),
    "qwen2": Family("Qwen2, Qwen2.5", "Qwen2Config", templates.CHATML),
    "qwen3": Family("Qwen3", "Qwen3Config", templates.THINKING, {"head_dim": 16}),
    "qwen3-moe": Family("Qwen3-MoE", "Qwen3MoeConfig", templates.THINKING, {**EXPERTS, "head_dim": 8}),
    "qwen3-next": Family(
        "Qwen3-Next", "Qwen3NextConfig", templates.THINKING,
        {**LINEAR, **EXPERTS, "shared_expert_intermediate_size": 24},
    ),
    "qwen3.5": Family("Qwen3.5", "Qwen3_5TextConfig", templates.THINKING, LINEAR),
    "qwen3.5-moe": Family(
        "Qwen3.5-MoE", "Qwen3_5MoeTextConfig", templates.THINKING,
        {**LINEAR, **EXPERTS, "shared_expert_intermediate_size": 24},
    ),
    "gemma2": Family("Gemma 2", "Gemma2Config", templates.GEMMA, {**MIXED, "head_dim": 8}),
    "gemma3": Family("Gemma 3", "Gemma3TextConfig", templates.GEMMA, {**MIXED, "head_dim": 8}),
    "gemma3n": Family(
        "Gemma 3n", "Gemma3nTextConfig", templates.GEMMA,
        {**MIXED, "head_dim": 8, "vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8,
         "num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2, "num_kv_shared_layers": 2,
         "laurel_rank": 4, "activation_sparsity_pattern": [0.0] * 4, "intermediate_size": [48] * 4},
    ),
    "gemma4": Family("Gemma 4", "Gemma4TextConfig", templates.GEMMA, {**MIXED, "head_dim": 8}),
    "glm4": Family("GLM-4", "Glm4Config", templates.GLM, {"head_dim": 8, "pad_token_id": 0}),
    "glm4-moe": Family(
        "GLM-4.5", "Glm4MoeConfig", templates.GLM,
        {"head_dim": 8, "moe_intermediate_size": 24, "n_routed_experts": 4, "num_experts_per_tok": 2,
         "first_k_dense_replace": 1, "pad_token_id": 0},
    ),
    "olmo2": Family("OLMo 2", "Olmo2Config", templates.TULU),
    "olmo3": Family("OLMo 3", "Olmo3Config", templates.CHATML, MIXED),
    "granite": Family("Granite 3", "GraniteConfig", templates.GRANITE),
    "granite4": Family(
        "Granite 4 (Mamba and attention)", "GraniteMoeHybridConfig", templates.GRANITE,
        {**MAMBA, "layer_types": ["mamba", "attention"], "num_local_experts": 0, "shared_intermediate_size": 48},
    ),
    "smollm": Family("SmolLM2 (Llama's layers)", "LlamaConfig", templates.CHATML, {"tie_word_embeddings": True}),
    "smollm3": Family("SmolLM3", "SmolLM3Config", templates.THINKING, {"no_rope_layers": [1, 0], "pad_token_id": 0}),
    "stablelm": Family("StableLM", "StableLmConfig", templates.ZEPHYR),
    "cohere": Family("Command R", "CohereConfig", templates.COHERE),
    "cohere2": Family("Command R7B", "Cohere2Config", templates.COHERE, MIXED),
    "deepseek-v3": Family("DeepSeek-V3, R1", "DeepseekV3Config", templates.DEEPSEEK, DEEPSEEK),
    "gpt-oss": Family(
        "gpt-oss", "GptOssConfig", templates.HARMONY,
        {**MIXED, "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    "nemotron": Family("Nemotron 4, Minitron", "NemotronConfig", templates.CHATML),
    "falcon-h1": Family(
        "Falcon-H1", "FalconH1Config", templates.CHATML, {**MAMBA, "mamba_d_ssm": 64, "pad_token_id": 0}
    ),
    "lfm2": Family(
        "LFM2", "Lfm2Config", templates.CHATML, {"layer_types": ["conv", "full_attention"]},
    ),
    "exaone4": Family("EXAONE 4", "Exaone4Config", templates.CHATML, {**MIXED, "head_dim": 8}),
    "seed-oss": Family(
        "Seed-OSS", "SeedOssConfig", templates.CHATML,
        {"head_dim": 8, "attention_dropout": 0.0, "residual_dropout": 0.0},
    ),
    "mamba2": Family(
        "Mamba 2", "Mamba2Config", templates.PLAIN,
        {"num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 1, "chunk_size": 8, "expand": 2},
        without=("intermediate_size", "num_attention_heads", "num_key_value_heads", "max_position_embeddings"),
    ),
    "mamba": Family(
        "Mamba", "MambaConfig", templates.PLAIN, {"state_size": 8},
        without=("intermediate_size", "num_attention_heads", "num_key_value_heads", "max_position_embeddings"),
    ),
    "jamba": Family(
        "Jamba", "JambaConfig", templates.CHATML,
        {"attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 2, "mamba_d_state": 8, "pad_token_id": 0},
    ),
    "nemotron-h": Family(
        "Nemotron-H", "NemotronHConfig", templates.CHATML,
        {"layers_block_type": ["mamba", "attention", "mlp"], "ssm_state_size": 8, "mamba_num_heads": 4,
         "mamba_head_dim": 16, "n_groups": 1, "head_dim": 8, "chunk_size": 8},
    ),
    "recurrent-gemma": Family(
        "RecurrentGemma", "RecurrentGemmaConfig", templates.GEMMA,
        {"lru_width": 32, "attention_window_size": 8, "num_hidden_layers": 3, "head_dim": 8,
         "block_types": ["recurrent", "recurrent", "attention"]},
    ),
    "rwkv": Family(
        "RWKV", "RwkvConfig", templates.PLAIN, {"context_length": 512, "attention_hidden_size": 32},
        without=("num_attention_heads", "num_key_value_heads", "max_position_embeddings"),
    ),
    "opt": Family(
        "OPT", "OPTConfig", templates.PLAIN, {"ffn_dim": 48, "word_embed_proj_dim": 32, "dropout": 0.0}, without=OLD
    ),
    "gptj": Family("GPT-J", "GPTJConfig", templates.PLAIN, {"rotary_dim": 4}, without=OLD),
    "gpt-neo": Family(
        "GPT-Neo", "GPTNeoConfig", templates.PLAIN,
        {"num_layers": 2, "attention_types": [[["global", "local"], 1]], "window_size": 8},
        without=("num_key_value_heads",),
    ),
    "falcon": Family("Falcon", "FalconConfig", templates.PLAIN, {"new_decoder_architecture": False}, without=OLD),
    "gpt2": Family(
        "GPT-2", "GPT2Config", templates.PLAIN, {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}, without=OLD
    ),
    "gpt-neox": Family("GPT-NeoX, Pythia", "GPTNeoXConfig", templates.PLAIN, without=("num_key_value_heads",)),
    "bloom": Family("BLOOM", "BloomConfig", templates.PLAIN, without=(*OLD, "max_position_embeddings")),
}  # fmt: skip

_WIDE = {"hidden_size": 128, "intermediate_size": 128}
VLLM_SIZES: dict[str, dict[str, int]] = {
    "llama3": _WIDE,
    "qwen2": _WIDE,
    "qwen3": {**_WIDE, "head_dim": 32},
    "mistral": _WIDE,
    "phi3": _WIDE,
    "gemma3": {**_WIDE, "head_dim": 32},
    "granite": _WIDE,
}
"""The families that `make test-vllm` compares with vLLM, whose attention on a CPU needs heads of 32 values."""


def config_of(name: str, **other_sizes: Any) -> Any:
    """The config of a family's tiny model.

    Args:
        name: a key of FAMILIES.
        other_sizes: fields that differ from those of FAMILIES.
    """
    import transformers

    family = FAMILIES[name]
    tokenizer = tokenizer_of(family.template)
    sizes = {field: value for field, value in SIZES.items() if field not in family.without}
    tokens = {
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    return getattr(transformers, family.config)(**{**sizes, **tokens, **family.sizes, **other_sizes})


def tiny(name: str, **other_sizes: Any) -> Any:
    """A tiny model of a family, see `config_of`; the same weights at every call."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(5)
    return AutoModelForCausalLM.from_config(config_of(name, **other_sizes)).eval().requires_grad_(False)


def write(name: str, folder: Path, **other_sizes: Any) -> Path:
    """Write a tiny model of a family and its tokenizer into a folder, as its publishers do; see `config_of`."""
    tiny(name, **other_sizes).save_pretrained(folder)
    tokenizer_of(FAMILIES[name].template).save_pretrained(folder)
    return folder
