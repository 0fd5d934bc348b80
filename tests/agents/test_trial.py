"""The trial before training says whether agents can be trained together, and leaves the model as it was."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agents.engines import base_model
from agents.engines.transformers.engine import TransformersEngine
from agents.training.adapters import lora_config
from agents.training.methods.dpo import Dpo
from agents.training.methods.sft import Sft
from agents.training.sft.trial import why_one_at_a_time
from tests.agents.families import FAMILIES, SIZES, tiny

APART = {
    "falcon": "packed rows give other logits",
    "gpt-oss": "it uses the attention 'eager'",
    "stablelm": "its layers do not tell their attention where the rows of a sequence are",
    "nemotron": "its layers do not tell their attention where the rows of a sequence are",
    "dropout": "it draws random numbers in training, as for dropout",
    "qwen3-moe": "is not plain LoRA on a linear layer",
    "deepseek-v3": "is not plain LoRA on a linear layer",
    "mixtral": "is not plain LoRA on a linear layer",
}
"""The reasons of models whose agents are trained one at a time."""


class LooksAcross(LlamaForCausalLM):
    """A model whose logits depend on the first token and the length of the sequence, like a recurrent model's."""

    def forward(self, input_ids: torch.Tensor, **kwargs: Any) -> Any:
        out = super().forward(input_ids, **kwargs)
        out.logits = out.logits + input_ids[:, :1, None] + input_ids.shape[1]
        return out


class Experts(LlamaForCausalLM):
    """A model in which a layer gets half of the tokens."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.model.layers[0].mlp.forward = self._half

    def _half(self, x: torch.Tensor) -> torch.Tensor:
        mlp = self.model.layers[0].mlp
        some = x[:, ::2]
        return torch.zeros_like(x).index_copy(1, torch.arange(0, x.shape[1], 2), mlp.down_proj(mlp.up_proj(some)))


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_is_tried_and_stays_as_it_was(family: str) -> None:
    model = tiny(family)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layers = {name: type(module) for name, module in model.named_modules()}
    config, own, drawn = model.config.to_dict(), set(vars(model)), torch.random.get_rng_state()
    attention = model.config._attn_implementation
    why = Sft().why_one_at_a_time(model)
    assert (why is None) == (family not in APART), why
    assert why is None or (APART[family] in why and "\n" not in why)
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert layers == {name: type(module) for name, module in model.named_modules()}
    assert model.config.to_dict() == config and set(vars(model)) == own
    assert model.config._attn_implementation == attention and not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), drawn)


def test_experts_can_be_left_out_by_name() -> None:
    assert Sft(target_modules=["q_proj", "v_proj"]).why_one_at_a_time(tiny("qwen3-moe")) is None


def test_the_embedded_model_is_trained_together_also_with_the_attention_of_the_engine(tmp_path: Path) -> None:
    model, tokenizer = base_model.load("embedded", "cpu")
    assert Sft().why_one_at_a_time(model) is None
    assert TransformersEngine(model, tokenizer, adapters=tmp_path).decoding.name == "loop"
    attention = model.config._attn_implementation
    assert attention != "sdpa" and Sft().why_one_at_a_time(model) is None
    assert model.config._attn_implementation == attention


def test_a_model_with_another_attention() -> None:
    model = tiny("llama3")
    model.set_attn_implementation("eager")
    assert Sft().why_one_at_a_time(model) == "it uses the attention 'eager'"


def test_a_model_whose_rows_would_see_each_other_is_found_out() -> None:
    model = LooksAcross(LlamaConfig(**SIZES)).requires_grad_(False)
    assert "packed rows give other logits" in str(Sft().why_one_at_a_time(model))


def test_a_layer_that_gets_a_part_of_the_tokens_is_found_out() -> None:
    model = Experts(LlamaConfig(**SIZES)).requires_grad_(False)
    assert Sft().why_one_at_a_time(model) == "a layer gets 8 tokens, but the sequence has 16"


def test_an_adapter_to_go_on_from_is_tried_too() -> None:
    plain, other = lora_config(Sft()), lora_config(Sft())
    other.use_dora = True
    assert why_one_at_a_time(tiny("llama3"), [plain, plain, lora_config(Sft(rank=2))]) is None
    assert "is not plain LoRA" in str(why_one_at_a_time(tiny("llama3"), [plain, other]))


def test_preference_training_is_never_joint() -> None:
    assert Dpo().why_one_at_a_time(tiny("llama3")) == "finetune.method dpo trains them so"
