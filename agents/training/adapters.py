"""LoRA adapters before and after training: what to learn, the trained weights, and PEFT folders on disk."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from agents.training.layers import take_all_linear
from agents.training.learner import Adapter, Learner
from agents.training.settings import ALL_LINEAR, FinetuneSettings, TrainingError


@dataclass(frozen=True)
class Trained:
    """A trained adapter and the figures of its training."""

    examples: int
    skipped: int
    """Examples longer than the model's context; they are left out, never truncated."""
    tokens: int
    """Tokens read in training, prompts included, over all epochs."""
    first_loss: float | None
    last_loss: float | None
    """Mean losses of the first and the last epoch; None without examples."""
    weights: dict[str, torch.Tensor]
    config: LoraConfig

    @property
    def finite(self) -> bool:
        """Whether no weight is infinite or NaN."""
        return all(bool(weight.isfinite().all()) for weight in self.weights.values())

    def adapter(self) -> Adapter:
        """The adapter as files, and the figures of its training.

        Raises:
            TrainingError: a weight is infinite or NaN.
        """
        return Adapter(
            files=self.files() if self.examples else {},
            examples=self.examples,
            skipped=self.skipped,
            tokens=self.tokens,
            first_loss=self.first_loss,
            last_loss=self.last_loss,
        )

    def files(self) -> dict[str, bytes]:
        """The content of the files that `save` writes, by name.

        Raises:
            TrainingError: a weight is infinite or NaN.
        """
        with TemporaryDirectory() as folder:
            self.save(Path(folder))
            return {file.name: file.read_bytes() for file in Path(folder).iterdir()}

    def save(self, folder: Path) -> None:
        """Write the files of a PEFT adapter into an empty folder; the same weights give the same bytes.

        Raises:
            TrainingError: a weight is infinite or NaN; nothing is written.
        """
        if not self.finite:
            raise TrainingError("an adapter is not saved, since some of its weights are not finite")
        save_file(self.weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        self.config.save_pretrained(str(folder))
        file = folder / "adapter_config.json"
        config = json.loads(file.read_text("utf-8"))
        config["inference_mode"] = True
        # PEFT keeps these names in sets, whose order differs from process to process.
        for names in ("target_modules", "target_parameters", "exclude_modules"):
            config[names] = config[names] and sorted(config[names])
        file.write_text(json.dumps(config, indent=2, sort_keys=True), "utf-8")


def lora_config(settings: FinetuneSettings) -> LoraConfig:
    """The config of a new adapter; PEFT puts the model's own layers in place of `all-linear` when it is added."""
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        target_modules=settings.target_modules,
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )


def config_of(learner: Learner, settings: FinetuneSettings) -> LoraConfig:
    """The config of a learner's adapter: that of the adapter to go on from, or a new one."""
    if learner.start_from is None:
        return lora_config(settings)
    config: Any = PeftConfig.from_pretrained(str(learner.start_from))
    config.inference_mode = False
    return cast(LoraConfig, config)


def add_adapter(
    onto: PreTrainedModel | PeftModel, name: str, learner: Learner, settings: FinetuneSettings
) -> PeftModel:
    """Add a trainable adapter: initialised by the learner's seed, or with the config of the adapter to go on from."""
    torch.manual_seed(learner.seed)
    return attach(onto, name, config_of(learner, settings))


def attach(onto: PreTrainedModel | PeftModel, name: str, config: LoraConfig) -> PeftModel:
    """Add a trainable adapter with this config; its initial weights are drawn with torch's own random numbers."""
    # PEFT writes the name of the base into the first adapter only.
    base: Any = onto.get_base_model() if isinstance(onto, PeftModel) else onto
    config.base_model_name_or_path = base.name_or_path
    if config.target_modules == ALL_LINEAR:
        take_all_linear(config, base)
    if isinstance(onto, PeftModel):
        onto.add_adapter(name, config)
        return onto
    tuned: PeftModel = get_peft_model(onto, config, adapter_name=name)
    return tuned


@contextmanager
def untrained(model: PreTrainedModel, settings: FinetuneSettings) -> Iterator[PeftModel]:
    """The model with a new adapter; the model is unchanged when the context ends."""
    tuned = add_adapter(model, "default", Learner([], seed=0), settings)
    try:
        yield tuned
    finally:
        tuned.unload()
        model.eval().requires_grad_(False)


def untrained_adapter(tuned: PeftModel) -> Trained:
    """The adapter of an `untrained` model, as if it had been trained with no example."""
    return Trained(
        examples=0,
        skipped=0,
        tokens=0,
        first_loss=None,
        last_loss=None,
        weights=weights_of(tuned, "default"),
        config=cast(LoraConfig, tuned.peft_config["default"]),
    )


def go_on(tuned: PeftModel, name: str, learner: Learner) -> None:
    """Load the weights that the learner goes on from, if any.

    Raises:
        ValueError: the folder has other weights than its own config describes.
    """
    if learner.start_from is None:
        return
    weights = load_file(learner.start_from / "adapter_model.safetensors")
    if set(weights) != set(weights_of(tuned, name)):
        raise ValueError(f"{learner.start_from}: its weights are not those that its adapter_config.json describes")
    set_peft_model_state_dict(tuned, weights, adapter_name=name)


def weights_of(tuned: PeftModel, name: str) -> dict[str, torch.Tensor]:
    """An adapter's weights on the CPU, under the names that PEFT uses in files."""
    # LoRA does not change the embeddings; `auto` would ask a hub whether they were resized.
    state = get_peft_model_state_dict(tuned, adapter_name=name, save_embedding_layers=False)
    return {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
