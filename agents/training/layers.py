"""The layers of a base model that LoRA adapts if `finetune.target_modules` is all-linear."""

import copy

import torch
from peft import LoraConfig
from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

STATE_SPACE = {"falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"}
"""Types of models whose `out_proj` PEFT refuses to adapt, since fused kernels read its weight and not the layer."""


def linear_layers(model: PreTrainedModel) -> list[str]:
    """The full names of the model's linear layers, without the output head; adapters that it has do not matter."""
    return list(_linear(model))


def left_out(model: PreTrainedModel) -> list[str]:
    """The full names of linear layers that `all-linear` leaves out, since LoRA cannot be added to what they give."""
    fused = "out_proj" if model.config.model_type in STATE_SPACE else None
    return [
        name
        for name, layer in _linear(model).items()
        if name.rpartition(".")[2] == fused or _gives_more_than_a_product(layer)
    ]


def _linear(model: PreTrainedModel) -> dict[str, torch.nn.Module]:
    head = model.get_output_embeddings()
    return {
        name.removesuffix(".base_layer"): module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head and ".lora_" not in name
    }


def take_all_linear(config: LoraConfig, model: PreTrainedModel) -> None:
    """Complete a config with the target all-linear, so that PEFT adapts every linear layer but the head.

    PEFT (0.21) reads the names `gate_proj`, `up_proj` and `down_proj` as those of experts if a model has experts, which
    are parameters and no layers in transformers 5. It then leaves out linear layers with these names, such as shared
    experts, unless their weights are named as parameters.
    """
    config.exclude_modules = left_out(model) or None
    converted = copy.deepcopy(config)
    convert_peft_config_for_transformers(converted, model, None)
    if isinstance(converted.target_modules, str):
        return
    taken = tuple(f".{name}" for name in converted.target_modules or ())
    wanted = [name for name in linear_layers(model) if name not in left_out(model)]
    config.target_parameters = [f"{name}.weight" for name in wanted if not f".{name}".endswith(taken)]


@torch.no_grad()
def _gives_more_than_a_product(layer: torch.nn.Module) -> bool:
    """Whether a model has made a linear layer into something else, such as Llama 4's router, which gives a tuple."""
    if not isinstance(layer, torch.nn.Linear) or type(layer).forward is torch.nn.Linear.forward:
        return False
    if not layer.weight.is_floating_point():  # A quantised layer, which gives a product.
        return False
    given = layer(layer.weight.new_zeros(1, layer.in_features))
    return not isinstance(given, torch.Tensor)
