"""A training that does not fit into memory is refused, by what a pass over a few tokens keeps."""

from typing import Any

import pytest
import torch

from agents.engines import base_model
from agents.training.adapters import untrained
from agents.training.methods.sft import Sft
from agents.training.room import STATES, TrainingMemory, check_training_room, training_memory
from agents.training.settings import TrainingError

NEEDS = TrainingMemory(adapter_bytes=1_000_000, token_bytes=10_000)
ADAPTERS, BATCH = STATES * 6 * 1_000_000, 4 * 100 * 10_000


def check(free: int, **settings: Any) -> None:
    check_training_room(NEEDS, Sft(**settings), learners=6, prompt_tokens=100, free=free)


def test_it_is_refused_if_one_byte_is_missing() -> None:
    check(ADAPTERS + BATCH)
    with pytest.raises(TrainingError, match=r"6 agents take 0\.02 GB .*a batch takes 0\.00 GB .*lower finetune.rank"):
        check(ADAPTERS + BATCH - 1)
    with pytest.raises(TrainingError, match=r"lower finetune.batch_size, or set finetune.gradient_checkpointing"):
        check(1_000_000_000, batch_size=4096)


def test_what_a_token_takes_is_what_its_pass_keeps() -> None:
    model: Any = base_model.load("embedded", "cpu")[0]
    with untrained(model, Sft()) as tuned:
        needs = training_memory(tuned, Sft())
        weights = sum(each.nbytes for name, each in tuned.named_parameters() if ".lora_" in name)
    assert needs.adapter_bytes == weights > 0
    shape = model.config
    # The inputs of the seven adapted layers are the least that a layer of a Llama keeps.
    least = 4 * shape.num_hidden_layers * (2 * shape.hidden_size + shape.intermediate_size)
    assert least <= needs.token_bytes <= 20 * least
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with untrained(model, Sft()) as tuned:
        assert training_memory(tuned, Sft(gradient_checkpointing=True)) == TrainingMemory(weights, 0)


def test_it_grows_with_the_rank_and_the_number_of_layers() -> None:
    model: Any = base_model.load("embedded", "cpu")[0]

    def needs(**settings: Any) -> TrainingMemory:
        with untrained(model, Sft(**settings)) as tuned:
            return training_memory(tuned, Sft(**settings))

    assert needs(rank=8).adapter_bytes == 2 * needs(rank=4).adapter_bytes
    assert needs(target_modules=["q_proj"]).token_bytes < needs().token_bytes


def test_a_measured_pass_leaves_no_random_state_behind() -> None:
    model: Any = base_model.load("embedded", "cpu")[0]
    with untrained(model, Sft()) as tuned:
        before = torch.random.get_rng_state()
        training_memory(tuned, Sft())
        assert torch.equal(before, torch.random.get_rng_state())
