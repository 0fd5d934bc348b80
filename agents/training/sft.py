"""Supervised finetuning of one agent: LoRA on the last turn of its own conversations."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.chat import prompt_ids
from agents.seeding import derive_seed
from agents.split import Example

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Finetune(BaseModel):
    """How agents learn from their own words."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Finetuning")

    learning_rate: float = Field(
        default=2e-3,
        gt=0.0,
        le=1.0,
        title="Learning rate",
        description="Peak; cosine to zero after a 5 % warm-up.",
    )
    epochs: int = Field(
        default=2, ge=1, le=1000, title="Epochs", description="Passes over an agent's dataset (paper: 2)."
    )
    batch_size: int = Field(default=8, ge=1, le=4096, title="Batch size", description="Examples per optimizer step.")
    min_votes: int = Field(
        default=2,
        ge=1,
        title="Votes needed",
        description="Agents that must agree for a consensus to be learned from (1 = the paper).",
    )
    critic_mix: float = Field(
        default=0.2,
        ge=0.0,
        le=1.0,
        title="Critic mix",
        description="w, the share of self-corrections in a critic's dataset.",
    )
    start: Literal["base", "previous"] = Field(
        default="previous",
        title="Adapters start from",
        description="Whether an agent's adapter starts anew or from its previous generation.",
    )
    rank: int = Field(default=16, ge=1, le=1024, title="LoRA rank", description="LoRA r.")
    alpha: float = Field(
        default=32.0, gt=0.0, title="LoRA alpha", description="LoRA alpha; the update is scaled by alpha / r."
    )
    target_modules: list[str] = Field(
        default=ALL_LINEAR, min_length=1, title="LoRA modules", description="Linear layers that LoRA adapts."
    )


@dataclass(frozen=True)
class Encoded:
    """One example as token ids: the prompt as inference would build it, then what is learned with the end token."""

    prompt: list[int]
    target: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target)


@dataclass(frozen=True)
class Trained:
    """What a finetuning did."""

    examples: int
    skipped: int
    """Examples longer than the model's context; they are left out whole, never truncated."""
    tokens: int
    """Tokens trained on, prompts included, over all epochs."""
    first_loss: float
    last_loss: float
    """Mean losses of the first and of the last epoch."""


def encode(examples: Sequence[Example], tokenizer: "PreTrainedTokenizerBase") -> list[Encoded]:
    """Token ids of each example; the prompt's are those that inference would send."""
    if not examples:
        return []
    prompts = prompt_ids(tokenizer, [example[:-1] for example in examples])
    targets = tokenizer(
        [f"{example[-1]['content']}{tokenizer.eos_token}" for example in examples], add_special_tokens=False
    )["input_ids"]
    return [Encoded(prompt, target) for prompt, target in zip(prompts, targets, strict=True)]


def finetune(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    examples: Sequence[Example],
    settings: Finetune,
    start_from: Path | None,
    folder: Path,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> Trained:
    """Train one adapter on the resident base and write it to `folder`; the base is left as it was.

    Args:
        start_from: the adapter to go on from, or None for a new one.
        seed: of the adapter's initial weights and of the order of the examples.
        on_progress: called with (optimizer steps done, steps in all).
    """
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model

    context = int(getattr(model.config, "max_position_embeddings", 0) or 2**31)
    encoded = encode(examples, tokenizer)
    fitting = [example for example in encoded if len(example) <= context]
    torch.manual_seed(seed)
    if start_from is not None:
        tuned = PeftModel.from_pretrained(model, start_from, is_trainable=True)
    else:
        tuned = get_peft_model(
            model,
            LoraConfig(
                r=settings.rank,
                lora_alpha=settings.alpha,  # type: ignore[arg-type]
                target_modules=settings.target_modules,
                lora_dropout=0.0,
                task_type="CAUSAL_LM",
            ),
        )
    try:
        losses = _run(tuned, fitting, settings, seed, on_progress)
        # LoRA leaves the embeddings alone; `auto` would ask a hub whether they were resized.
        tuned.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
        _make_reproducible(folder)
    finally:
        tuned.unload()  # type: ignore[operator]
        model.eval().requires_grad_(False)
    tokens = settings.epochs * sum(map(len, fitting))
    return Trained(len(fitting), len(encoded) - len(fitting), tokens, losses[0], losses[-1])


def _make_reproducible(folder: Path) -> None:
    """The same weights, the same bytes: an adapter is known by the digest of its folder."""
    # PEFT's card is an empty form that a registry would not keep; its modules are a set, in an order of this process.
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text("utf-8"))
    config["target_modules"] = sorted(config["target_modules"])
    file.write_text(json.dumps(config, indent=2, sort_keys=True), "utf-8")


def _run(
    tuned: "PeftModel",
    encoded: Sequence[Encoded],
    settings: Finetune,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> list[float]:
    """The optimisation itself; returns the mean loss of each epoch."""
    import torch

    parameters = [p for p in tuned.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0)
    steps = settings.epochs * math.ceil(len(encoded) / settings.batch_size)
    warmup = max(1, round(0.05 * steps))
    tuned.train()
    step, means = 0, []
    for epoch in range(settings.epochs):
        losses: list[torch.Tensor] = []
        for batch in ordered_batches(encoded, settings.batch_size, derive_seed(seed, epoch)):
            progress = max(0, step - warmup) / max(1, steps - warmup)
            factor = min(1.0, (step + 1) / warmup) * 0.5 * (1.0 + math.cos(math.pi * progress))
            optimizer.param_groups[0]["lr"] = settings.learning_rate * factor
            loss = completion_loss(tuned, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.detach())
            step += 1
            on_progress(step, steps)
        means.append(float(torch.stack(losses).mean()))
    return means


def ordered_batches(encoded: Sequence[Encoded], batch_size: int, seed: int) -> list[list[Encoded]]:
    """Every example once, batches of like length (little padding) in a seeded order."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    # Shuffled before the stable sort by length, so that examples of one length change company from epoch to epoch.
    shuffled = [encoded[place] for place in torch.randperm(len(encoded), generator=generator).tolist()]
    shuffled.sort(key=len)
    batches = [shuffled[start : start + batch_size] for start in range(0, len(shuffled), batch_size)]
    return [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]


def padded(batch: Sequence[Encoded]) -> "tuple[torch.Tensor, torch.Tensor]":
    """Right-padded ids and labels, both (B, T); labels are -100 but on target tokens."""
    import torch

    width = max(map(len, batch))
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    labels = torch.full((len(batch), width), -100)
    for row, example in enumerate(batch):
        ids[row, : len(example)] = torch.tensor(example.prompt + example.target)
        labels[row, len(example.prompt) : len(example)] = torch.tensor(example.target)
    return ids, labels


def completion_loss(tuned: "PeftModel", batch: Sequence[Encoded]) -> "torch.Tensor":
    """Mean cross-entropy over the target tokens of the batch; prompts carry none."""
    import torch

    ids, labels = (tensor.to(tuned.device) for tensor in padded(batch))
    base: Any = tuned.get_base_model()
    # Rows are padded on the right, where a causal model cannot look: no mask is needed. The head is applied to the
    # positions that predict a target token, and to no other.
    hidden = base.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    predicts = labels[:, 1:] != -100
    logits = base.lm_head(hidden[predicts]).float()
    return torch.nn.functional.cross_entropy(logits, labels[:, 1:][predicts])
