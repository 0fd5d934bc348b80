"""The layers of a base model that LoRA can adapt, and the check of those that `finetune.target_modules` names."""

import torch
from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from agents.training.adapters import lora_config
from agents.training.settings import ALL_LINEAR, FinetuneSettings, TrainingError


def check_modules(model: PreTrainedModel, settings: FinetuneSettings) -> None:
    """Refuse `finetune.target_modules` if the model lacks one of them; only names and types of layers are read.

    Args:
        model: a base model; it may be on the meta device, without weights.
        settings: the training method and its hyperparameters.

    Raises:
        TrainingError: the message names the field, the names that are wrong, and the model's own linear layers.
    """
    layers = linear_layers(model)
    own = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
    of_model = f"the base model {model.name_or_path or type(model).__name__}"
    if settings.target_modules == ALL_LINEAR:
        if not layers:
            raise TrainingError(f"finetune.target_modules is {ALL_LINEAR}, but {of_model} has no linear layers")
        return
    config = lora_config(settings)
    try:
        # Experts are parameters, not layers. PEFT still takes the names that their layers had, and replaces them here.
        convert_peft_config_for_transformers(config, model, None)
    except ValueError as error:
        raise TrainingError(f"finetune.target_modules: {error}") from error
    lacking = [
        name
        for name in settings.target_modules
        if name in (config.target_modules or ()) and not any(f".{layer}".endswith(f".{name}") for layer in layers)
    ]
    if lacking:
        raise TrainingError(
            f"finetune.target_modules names {', '.join(lacking)}, which {of_model} does not have; set it to "
            f"{ALL_LINEAR}, or name some of {own}"
        )


def linear_layers(model: PreTrainedModel) -> list[str]:
    """The full names of the model's linear layers, without the output head."""
    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    ]
