"""The layers that LoRA adapts are those that PEFT means by all-linear, or those that the config names."""

from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from pydantic import ValidationError

from agents.engines import base_model
from agents.training.adapters import add_adapter
from agents.training.layers import linear_layers
from agents.training.learner import Learner
from agents.training.methods.sft import Sft
from agents.training.modules import check_modules
from agents.training.settings import TrainingError
from tests.agents.families import FAMILIES, on_meta, tiny

GATED = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
NAMES = {
    "llama3": GATED,
    "phi3": {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"},
    "glm4": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"},
    "gpt2": {"c_attn", "c_proj", "c_fc"},
    "gpt-neox": {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"},
    "falcon": {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"},
    "stablelm": GATED,
    "nemotron": GATED - {"gate_proj"},
}


def adapted(tuned: Any) -> set[str]:
    """The full names of the layers with an adapter."""
    inner = tuned.base_model.model
    return {name.replace(".base_layer", "") for name, module in inner.named_modules() if isinstance(module, LoraLayer)}


@pytest.mark.parametrize("family", FAMILIES)
def test_all_linear_is_what_peft_adapts(family: str) -> None:
    found = adapted(add_adapter(tiny(family), "agent-0", Learner([], seed=1), Sft(rank=2)))
    # PEFT forgets linear layers whose names its experts had.
    by_peft = adapted(get_peft_model(tiny(family), LoraConfig(r=2, target_modules="all-linear")))
    assert found == by_peft | {*linear_layers(tiny(family))}
    assert (found == by_peft) == (family != "deepseek-v3")
    if family in NAMES:
        assert {name.rpartition(".")[2] for name in found} == NAMES[family]


def test_a_second_adapter_is_on_the_same_layers() -> None:
    tuned = add_adapter(tiny("phi3"), "agent-0", Learner([], seed=1), Sft(rank=2))
    before = adapted(tuned)
    add_adapter(tuned, "agent-1", Learner([], seed=2), Sft(rank=4))
    layers = [module for module in tuned.modules() if isinstance(module, LoraLayer)]
    assert adapted(tuned) == before and all(set(layer.lora_A) == {"agent-0", "agent-1"} for layer in layers)


def test_the_embedded_model_has_seven_kinds_of_layers() -> None:
    tuned: Any = add_adapter(base_model.load("embedded", "cpu")[0], "agent-0", Learner([], seed=1), Sft())
    assert tuned.peft_config["agent-0"].target_modules == GATED


@pytest.mark.parametrize("family", FAMILIES)
def test_all_linear_fits_every_model_also_without_weights(family: str) -> None:
    for model in (tiny(family), on_meta(family)):
        check_modules(model, Sft())


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("llama3", ["q_proj", "v_proj"]),
        ("llama3", ["self_attn.q_proj"]),
        ("gpt2", ["c_attn"]),
        ("qwen3-moe", ["q_proj"]),
        ("qwen3-moe", ["q_proj", "gate_proj", "up_proj", "down_proj"]),
        ("mixtral", ["w1", "w2", "w3"]),
    ],
)
def test_names_that_the_model_has(family: str, names: list[str]) -> None:
    check_modules(on_meta(family), Sft(target_modules=names))
    assert adapted(add_adapter(tiny(family), "agent-0", Learner([], seed=1), Sft(rank=2, target_modules=names)))


@pytest.mark.parametrize(
    ("family", "names", "parts"),
    [
        ("llama3", ["q_proj", "q_prj"], ["names q_prj,", "all-linear", "down_proj, gate_proj, k_proj, o_proj, q_proj"]),
        ("gpt2", ["q_proj", "c_fc", "v_proj"], ["names q_proj, v_proj,", "c_attn, c_fc, c_proj"]),
        ("llama3", ["lm_head"], ["names lm_head,"]),
        ("llama3", ["embed_tokens", "mlp"], ["names embed_tokens, mlp,"]),
        ("llama3", ["proj"], ["names proj,"]),
        ("qwen3-moe", ["q_proj", "gate_up_proj"], ["names gate_up_proj,"]),
        ("qwen3-moe", ["q_proj", "gate_proj"], ["gate_proj without also targeting up_proj"]),
    ],
)
def test_names_that_the_model_lacks(family: str, names: list[str], parts: list[str]) -> None:
    for model in (tiny(family), on_meta(family)):
        with pytest.raises(TrainingError) as refused:
            check_modules(model, Sft(target_modules=names))
        message = str(refused.value)
        assert message.startswith("finetune.target_modules") and "\n" not in message
        assert all(part in message for part in parts), message


@pytest.mark.parametrize("given", ["q_proj", "all", [], [""], [1], None, {"q_proj": 1}])
def test_what_is_neither_all_linear_nor_a_list_of_names(given: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        Sft(target_modules=given)
    (fault,) = refused.value.errors()
    assert fault["loc"] == ("target_modules",) and "all-linear, or a list of names" in fault["msg"]
