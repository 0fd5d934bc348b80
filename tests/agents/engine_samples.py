"""Requests and adapters for tests that compare engines."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model

from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.engines.protocol import Request, Sampling
from evaluation.problems.arithmetic import arithmetic_problems

GREEDY = Sampling(temperature=0.0)


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


def questions(count: int) -> list[str]:
    """Questions of different lengths, so that batches are padded."""
    problems = itertools.islice(arithmetic_problems(5), count)
    return [f"{'Please answer. ' * (place % 4)}{p.question}" for place, p in enumerate(problems)]


def requests(count: int, adapter: str | None = None, tokens: int = 60) -> list[Request]:
    return [Request([DEFAULT.first(q)], adapter, seed, tokens) for seed, q in enumerate(questions(count))]


def save_adapters(folder: Path, names: Sequence[str], rank: int = 4) -> None:
    """Save adapters with PEFT, each of which changes the base's responses in another way."""
    for seed, name in enumerate(names):
        model, _ = base_model.load("embedded", "cpu")
        torch.manual_seed(seed)
        tuned = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["q_proj", "down_proj"]))
        for parameter_name, parameter in tuned.named_parameters():
            if "lora_B" in parameter_name:
                torch.nn.init.normal_(parameter, std=0.3)
        tuned.save_pretrained(str(folder / name), save_embedding_layers=False)
