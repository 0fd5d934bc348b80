"""Direct preference optimization with TRL, one agent after another over the resident base (arXiv 2305.18290).

An agent learns to prefer its own words that match the consensus to its own that do not, and is held near what it was
before: the base, or its previous generation.
"""

import copy
import itertools
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl import DPOConfig, DPOTrainer

from agents.split import Example
from agents.training.adapters import Learner, Trained, add_adapter, go_on, weights_of
from agents.training.examples import Encoded, encode
from agents.training.settings import FinetuneSettings


class TokenizedTrainer(DPOTrainer):
    """TRL's trainer for pairs that are token ids already, those of inference: its own would add special tokens."""

    def _prepare_dataset(self, dataset: Dataset, *others: Any) -> Dataset:
        return dataset


class Telling(TrainerCallback):
    """Tells how far it is."""

    def __init__(self, on_step: Callable[[int], None]) -> None:
        self.on_step = on_step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After every optimizer step."""
        self.on_step(int(state.global_step))


def finetune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    learners: Sequence[Learner],
    settings: FinetuneSettings,
    on_progress: Callable[[int, int], None],
) -> list[Trained]:
    """Train an adapter for each learner on its examples and what they are preferred to; the base is left as it was.

    Args:
        on_progress: called with (optimizer steps done, steps in all), summed over the learners.
    """
    context = int(getattr(model.config, "max_position_embeddings", 0) or 2**31)
    pairs = [_encode(learner, tokenizer) for learner in learners]
    fitting = [[pair for pair in own if max(map(len, pair)) <= context] for own in pairs]
    steps = [settings.epochs * -(-len(own) // settings.batch_size) for own in fitting]
    before = [0, *itertools.accumulate(steps)]
    total = sum(steps)
    return [
        _train(model, tokenizer, learner, own, kept, settings, partial(_tell, on_progress, done, total))
        for learner, own, kept, done in zip(learners, pairs, fitting, before[:-1], strict=True)
    ]


def _tell(on_progress: Callable[[int, int], None], before: int, total: int, step: int) -> None:
    on_progress(before + step, total)


def _encode(learner: Learner, tokenizer: PreTrainedTokenizerBase) -> list[tuple[Encoded, Encoded]]:
    """(chosen, rejected) of every pair; both with the same prompt."""
    instead: list[Example] = [
        [*example[:-1], {"role": "assistant", "content": rejected}]
        for example, rejected in zip(learner.examples, learner.beside["rejected"], strict=True)
    ]
    return list(zip(encode(learner.examples, tokenizer), encode(instead, tokenizer), strict=True))


def _train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    learner: Learner,
    pairs: Sequence[tuple[Encoded, Encoded]],
    kept: Sequence[tuple[Encoded, Encoded]],
    settings: FinetuneSettings,
    on_step: Callable[[int], None],
) -> Trained:
    # TRL replaces methods of the model and sets fields of its config, for good. It gets modules of its own to do so,
    # which share the weights.
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    tuned: Any = add_adapter(copy.deepcopy(model, shared), "default", learner, settings)
    go_on(tuned, "default", learner)
    losses: list[float] = []
    if kept:
        with tempfile.TemporaryDirectory() as folder:
            losses = _run(tuned, tokenizer, learner, kept, settings, folder, on_step)
    model.requires_grad_(False)
    return Trained(
        examples=len(kept),
        skipped=len(pairs) - len(kept),
        tokens=settings.epochs * sum(len(chosen) + len(rejected) for chosen, rejected in kept),
        first_loss=losses[0] if losses else None,
        last_loss=losses[-1] if losses else None,
        weights=weights_of(tuned, "default"),
        config=tuned.peft_config["default"],
    )


def _run(
    tuned: Any,
    tokenizer: PreTrainedTokenizerBase,
    learner: Learner,
    pairs: Sequence[tuple[Encoded, Encoded]],
    settings: FinetuneSettings,
    folder: str,
    on_step: Callable[[int], None],
) -> list[float]:
    """The optimisation itself; returns the mean loss of each epoch."""
    disable_progress_bars()
    arguments = DPOConfig(
        output_dir=folder,
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.05,
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_length=None,
        gradient_checkpointing=settings.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        bf16=tuned.dtype == torch.bfloat16,
        use_cpu=tuned.device.type == "cpu",
        seed=learner.seed % 2**32,
        logging_strategy="epoch",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    rows = [
        {"prompt_ids": chosen.prompt, "chosen_ids": chosen.target, "rejected_ids": rejected.target}
        for chosen, rejected in pairs
    ]
    trainer = TokenizedTrainer(
        tuned,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[Telling(on_step)],
    )
    trainer.remove_callback(PrinterCallback)  # Standard output is the command's.
    trainer.train()
    return [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
