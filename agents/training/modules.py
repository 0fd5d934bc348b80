"""The check of the layers that `finetune.target_modules` names."""

from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers
from transformers import PreTrainedModel

from agents.training.adapters import lora_config
from agents.training.layers import left_out, linear_layers
from agents.training.settings import ALL_LINEAR, FinetuneSettings, TrainingError


def check_modules(model: PreTrainedModel, settings: FinetuneSettings) -> None:
    """Refuse `finetune.target_modules` if the model lacks one of them; only names and types of layers are read.

    Args:
        model: a base model; it may be on the meta device, without weights.
        settings: the training method and its hyperparameters.

    Raises:
        TrainingError: the message names the field, the names that are wrong, and the model's own linear layers.
    """
    layers = sorted({*linear_layers(model)} - {*left_out(model)})
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
