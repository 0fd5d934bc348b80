"""Rows of several agents in one pass give each agent the same losses and gradients as its rows alone."""

import random
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from agents.engines import base_model
from agents.training.examples import Encoded
from agents.training.sft.lora import PackingError
from agents.training.sft.packing import Block, routed
from tests.agents.families import tiny
from tests.agents.one_by_one import mean_loss, off


def rows(count: int, longest: int, seed: int) -> list[Encoded]:
    """Rows of random tokens, with different lengths if possible."""
    rng = random.Random(seed)
    tokens = [[rng.randrange(512) for _ in range(max(4, longest - 3 * place))] for place in range(count)]
    return [Encoded(row[: len(row) // 2], row[len(row) // 2 :]) for row in tokens]


def society(model: Any, ranks: tuple[int, ...] = (4, 2, 4)) -> PeftModel:
    """The model with one adapter for each rank; none of the adapters' weights is zero."""
    tuned: Any = model
    for place, rank in enumerate(ranks):
        lora = LoraConfig(r=rank, lora_alpha=3 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
        if place == 0:
            tuned = get_peft_model(model, lora, adapter_name="agent-0")
        else:
            tuned.add_adapter(f"agent-{place}", lora)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:
            parameter.requires_grad_(True)
            parameter.data.normal_(0.0, 0.05, generator=generator)
    return tuned


def gradients(tuned: PeftModel) -> dict[str, torch.Tensor]:
    """The gradients of all adapters; they are reset."""
    taken = {name: p.grad for name, p in tuned.named_parameters() if p.grad is not None}
    tuned.zero_grad(set_to_none=True)
    return taken


def alone(tuned: PeftModel, batches: list[list[Encoded]]) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The losses and gradients from PEFT's own forward, computed for one agent after another."""
    losses, found = [], {}
    for place, batch in enumerate(batches):
        tuned.set_adapter(f"agent-{place}")
        loss = mean_loss(tuned, batch)
        loss.backward()
        losses.append(float(loss.detach()))
        found |= gradients(tuned)
    for parameter in (p for name, p in tuned.named_parameters() if "lora_" in name):
        parameter.requires_grad_(True)
    return losses, found


def blocks(batches: list[list[Encoded]]) -> list[Block]:
    return [
        Block(f"agent-{place}", batch, 1.0 / sum(len(row.target) for row in batch))
        for place, batch in enumerate(batches)
    ]


BATCHES = [rows(3, 40, 1), rows(1, 61, 2), rows(6, 30, 3)]


def by_agent(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All gradients of an agent as one vector."""
    agents = {name.split(".")[-2] for name in found}
    return {a: torch.cat([found[name].flatten() for name in sorted(found) if f".{a}." in name]) for a in agents}


@pytest.mark.parametrize(
    "kind", ["embedded", "llama3", "qwen2", "qwen3", "mistral", "phi3", "glm4", "gpt2", "gpt-neox"]
)
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradients_of_a_joint_step_are_those_of_each_agent_alone(
    kind: str, checkpointing: bool, dtype: torch.dtype
) -> None:
    model: Any = (base_model.load("embedded", "cpu")[0] if kind == "embedded" else tiny(kind)).to(dtype)
    tuned = society(model).to(dtype)
    losses, expected = alone(tuned, BATCHES)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        tuned.train()
    with routed(model, tuned, packs=True) as router:
        together = router.losses(blocks(BATCHES))
        together.sum().backward()
    found = gradients(tuned)
    assert together.tolist() == pytest.approx(losses, rel=1e-5)
    assert off(by_agent(found), by_agent(expected)) <= 1e-5
    if dtype == torch.float64:
        # In double precision, compare each tensor by itself; some are small differences of large numbers.
        assert off(found, expected) <= 1e-7


def test_in_bfloat16_adapters_stay_in_float32_and_gradients_are_near_those_of_float32() -> None:
    _, expected = alone(society(tiny("llama3")), BATCHES)
    model = tiny("llama3").to(torch.bfloat16)
    tuned = society(model)
    with routed(model, tuned, packs=True) as router:
        router.losses(blocks(BATCHES)).sum().backward()
    found = gradients(tuned)
    assert {gradient.dtype for gradient in found.values()} == {torch.float32}
    assert off(by_agent(found), by_agent(expected)) <= 0.05


def test_a_layer_that_only_some_adapters_have() -> None:
    model = tiny("llama3")
    tuned = society(model, (4,))
    tuned.add_adapter("agent-1", LoraConfig(r=2, target_modules=["v_proj"], init_lora_weights=False))
    _, expected = alone(tuned, BATCHES[:2])
    with routed(model, tuned, packs=True) as router:
        router.losses(blocks(BATCHES[:2])).sum().backward()
    assert off(gradients(tuned), expected) <= 1e-5


@pytest.mark.parametrize("family", ["llama3", "qwen3-moe", "gpt-oss"])
def test_rows_that_are_read_one_agent_at_a_time_give_each_its_own_gradients(family: str) -> None:
    model = tiny(family)
    tuned = society(model)
    losses, expected = alone(tuned, BATCHES)
    found = []
    with routed(model, tuned, packs=False) as router:
        for block in blocks(BATCHES):
            loss = router.losses([block])
            loss.sum().backward()
            found += loss.tolist()
        with pytest.raises(PackingError, match="3 blocks"):
            router.losses(blocks(BATCHES))
    assert found == pytest.approx(losses, rel=1e-5)
    assert off(gradients(tuned), expected) <= 1e-5


def test_an_adapter_that_is_not_plain_lora_is_refused() -> None:
    model = tiny("llama3")
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], use_dora=True))
    with pytest.raises(PackingError, match="q_proj is not plain LoRA"), routed(model, tuned, packs=True):
        pass
    assert model.config._attn_implementation == "sdpa"
