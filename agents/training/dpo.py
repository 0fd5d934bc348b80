"""Direct preference optimization with TRL (arXiv 2305.18290), one agent after another on the base model in memory.

An agent learns to prefer its own responses that match the consensus over its own responses that do not. The loss keeps
the agent near its reference, which is the base or its previous generation.
"""

import copy
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from agents.split import Example
from agents.training.adapters import Trained, add_adapter, go_on, weights_of
from agents.training.divergence import DivergenceError, Losses, train_again_if_diverged
from agents.training.examples import Encoded, encode
from agents.training.learner import Learner
from agents.training.settings import FinetuneSettings


class TokenizedTrainer(DPOTrainer):
    """TRL's trainer for pairs of token ids; TRL's own tokenization adds special tokens that inference does not send."""

    watched: Losses
    """Gets the loss of every optimizer step and the norm of its gradient."""

    def _prepare_dataset(self, dataset: Dataset, *others: Any) -> Dataset:
        return dataset

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """TRL's step; its loss is kept until the norm of the gradient is known."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.loss = loss
        return loss

    def _clip_grad_norm(self, model: Any) -> torch.Tensor:
        norm: torch.Tensor = super()._clip_grad_norm(model)  # type: ignore[no-untyped-call]
        self.watched.add(self.loss, norm)
        return norm


class ReportSteps(TrainerCallback):
    """Reports the number of optimizer steps done."""

    def __init__(self, on_step: Callable[[int], None]) -> None:
        self.on_step = on_step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report after every optimizer step."""
        self.on_step(int(state.global_step))


def finetune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    learners: Sequence[Learner],
    settings: FinetuneSettings,
    on_progress: Callable[[int, int], None],
) -> list[Trained]:
    """Train an adapter for each learner on its preferred and rejected responses; the base stays unchanged.

    Args:
        on_progress: called with (optimizer steps done, steps in all), summed over the learners.

    Raises:
        DivergenceError: the training of an agent diverged; see `finetune.on_divergence`.
    """

    def train(some: Sequence[Learner], settings: FinetuneSettings) -> list[Trained | DivergenceError]:
        return _one_after_another(model, tokenizer, some, settings, on_progress)

    return train_again_if_diverged(train, learners, settings)


def _one_after_another(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    learners: Sequence[Learner],
    settings: FinetuneSettings,
    on_progress: Callable[[int, int], None],
) -> list[Trained | DivergenceError]:
    context = int(getattr(model.config, "max_position_embeddings", 0) or 2**31)
    lessons = [_lesson(learner, tokenizer, context, settings) for learner in learners]
    total, done = sum(lesson.steps for lesson in lessons), 0
    results: list[Trained | DivergenceError] = []
    for lesson in lessons:
        try:
            results.append(_train(model, tokenizer, lesson, settings, partial(_tell, on_progress, done, total)))
        except DivergenceError as error:
            if settings.on_divergence == "stop":
                raise
            results.append(error)
        done += lesson.steps
    return results


@dataclass(frozen=True)
class _Lesson:
    """One agent's pairs of (chosen, rejected), both with the same prompt."""

    learner: Learner
    pairs: Sequence[tuple[Encoded, Encoded]]
    skipped: int
    """Number of pairs longer than the model's context; they are left out."""
    steps: int
    """Number of optimizer steps."""


def _tell(on_progress: Callable[[int, int], None], before: int, total: int, step: int) -> None:
    on_progress(before + step, total)


def _lesson(learner: Learner, tokenizer: PreTrainedTokenizerBase, context: int, settings: FinetuneSettings) -> _Lesson:
    instead: list[Example] = [
        [*example[:-1], {"role": "assistant", "content": rejected}]
        for example, rejected in zip(learner.examples, learner.beside["rejected"], strict=True)
    ]
    pairs = list(zip(encode(learner.examples, tokenizer), encode(instead, tokenizer), strict=True))
    fitting = [pair for pair in pairs if max(map(len, pair)) <= context]
    steps = settings.epochs * -(-len(fitting) // settings.batch_size)
    return _Lesson(learner, fitting, skipped=len(pairs) - len(fitting), steps=steps)


def _train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    lesson: _Lesson,
    settings: FinetuneSettings,
    on_step: Callable[[int], None],
) -> Trained:
    # TRL replaces methods of the model and fields of its config and never restores them, so it gets a copy of the
    # modules, which shares the weights.
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    tuned: Any = add_adapter(copy.deepcopy(model, shared), "default", lesson.learner, settings)
    go_on(tuned, "default", lesson.learner)
    try:
        losses = _run(tuned, tokenizer, lesson, settings, on_step) if lesson.pairs else []
    finally:
        model.requires_grad_(False)
    return Trained(
        examples=len(lesson.pairs),
        skipped=lesson.skipped,
        tokens=settings.epochs * sum(len(chosen) + len(rejected) for chosen, rejected in lesson.pairs),
        first_loss=losses[0] if losses else None,
        last_loss=losses[-1] if losses else None,
        weights=weights_of(tuned, "default"),
        config=tuned.peft_config["default"],
    )


def _run(
    tuned: Any,
    tokenizer: PreTrainedTokenizerBase,
    lesson: _Lesson,
    settings: FinetuneSettings,
    on_step: Callable[[int], None],
) -> list[float]:
    """Run TRL's trainer and return the mean loss of each epoch.

    Raises:
        DivergenceError: a loss is not finite.
    """
    disable_progress_bars()
    rows = [
        {"prompt_ids": chosen.prompt, "chosen_ids": chosen.target, "rejected_ids": rejected.target}
        for chosen, rejected in lesson.pairs
    ]
    with tempfile.TemporaryDirectory() as folder:
        trainer = TokenizedTrainer(
            tuned,
            args=_arguments(tuned, lesson.learner.seed, settings, folder),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[ReportSteps(on_step)],
        )
        trainer.watched = Losses(lesson.learner.name, lesson.steps)
        trainer.remove_callback(PrinterCallback)  # It prints to standard output, which is for the command's own output.
        trainer.train()
    return [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]


def _arguments(tuned: Any, seed: int, settings: FinetuneSettings, folder: str) -> DPOConfig:
    return DPOConfig(
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
        seed=seed % 2**32,
        logging_strategy="epoch",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
