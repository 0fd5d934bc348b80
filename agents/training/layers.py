"""The layers of a base model that LoRA can adapt, and those that it has to leave out."""

from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

STATE_SPACE = {"falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"}
"""Types of models whose `out_proj` PEFT refuses to adapt, since fused kernels read its weight and not the layer."""


def linear_layers(model: PreTrainedModel) -> list[str]:
    """The full names of the model's linear layers, without the output head."""
    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    ]


def left_out(model: PreTrainedModel) -> list[str]:
    """The full names of linear layers that `all-linear` leaves out, since LoRA cannot be added to what they give."""
    modules: dict[str, Any] = dict(model.named_modules())
    fused = "out_proj" if model.config.model_type in STATE_SPACE else None
    return [
        name
        for name in linear_layers(model)
        if name.rpartition(".")[2] == fused or _gives_more_than_a_product(modules[name])
    ]


@torch.no_grad()
def _gives_more_than_a_product(layer: torch.nn.Module) -> bool:
    """Whether a model has made a linear layer into something else, such as Llama 4's router, which gives a tuple."""
    if not isinstance(layer, torch.nn.Linear) or type(layer).forward is torch.nn.Linear.forward:
        return False
    given = layer(layer.weight.new_zeros(1, layer.in_features))
    return not isinstance(given, torch.Tensor)
