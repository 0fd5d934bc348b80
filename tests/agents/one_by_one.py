"""Trains adapters one by one with PEFT's forward and torch's optimizer; joint training must give the same result."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from agents.seeding import derive_seed
from agents.training.examples import Encoded, ordered_batches, padded
from agents.training.layers import take_all_linear
from agents.training.methods.sft import Sft
from agents.training.settings import ALL_LINEAR


def mean_loss(tuned: PeftModel, batch: Sequence[Encoded]) -> torch.Tensor:
    """Mean cross-entropy over the target tokens of a batch."""
    ids, labels = padded(batch)
    # Rows are padded on the right, and a causal model does not read tokens to the right.
    logits = tuned(input_ids=ids, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)


def parameters(tuned: PeftModel, adapter: str) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in tuned.named_parameters() if f".{adapter}." in name}


def off(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """The largest relative difference of any tensor."""
    assert found.keys() == expected.keys() and found
    return max(float((found[name] - expected[name]).norm() / expected[name].norm()) for name in expected)


def off_but_flips(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """The same as `off`, but without the 1 % of the elements of each tensor that differ most.

    AdamW's first steps have the size of the learning rate and the sign of the gradient, so an element whose gradient is
    only a rounding error gets a random sign. After one or two steps in double precision, 1 element in 2,000 differs,
    which can be 0.02 of a tensor's norm. With another base, or without one example, at least 1 element in 12 differs.
    """
    assert found.keys() == expected.keys() and found
    kept = {name: (found[name] - expected[name]).abs().flatten().sort().values for name in expected}
    return max(
        float(differences[: math.floor(0.99 * len(differences))].norm() / expected[name].norm())
        for name, differences in kept.items()
    )


def train(
    model: Any,
    examples: Sequence[Encoded],
    settings: Sft,
    seed: int,
    start_from: Path | None = None,
) -> dict[str, torch.Tensor]:
    """The weights of an adapter that was trained alone, by the names that PEFT gives them."""
    torch.manual_seed(seed)
    if start_from is not None:
        tuned = PeftModel.from_pretrained(model, start_from, is_trainable=True)
    else:
        lora = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=settings.target_modules)
        if settings.target_modules == ALL_LINEAR:
            take_all_linear(lora, model)
        tuned = get_peft_model(model, lora)
    own = [p for p in tuned.parameters() if p.requires_grad]
    tuned.train()
    optimizer = torch.optim.AdamW(own, lr=settings.learning_rate, weight_decay=0.0)
    steps = settings.epochs * math.ceil(len(examples) / settings.batch_size)
    warmup = max(1, round(0.05 * steps))
    of_a_batch = settings.epochs * sum(len(example.target) for example in examples) / steps
    step = 0
    for epoch in range(settings.epochs):
        for batch in ordered_batches(examples, settings.batch_size, derive_seed(seed, epoch)):
            progress = max(0, step - warmup) / max(1, steps - warmup)
            factor = min(1.0, (step + 1) / warmup) * 0.5 * (1.0 + math.cos(math.pi * progress))
            optimizer.param_groups[0]["lr"] = settings.learning_rate * factor
            own_share = sum(len(example.target) for example in batch) / of_a_batch
            (mean_loss(tuned, batch) * own_share).backward()
            torch.nn.utils.clip_grad_norm_(own, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    weights = {name.replace(".default.", "."): p.detach().clone() for name, p in parameters(tuned, "default").items()}
    tuned.unload()
    model.eval().requires_grad_(False)
    return weights
