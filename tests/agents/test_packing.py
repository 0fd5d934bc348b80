"""Rows of several agents in one pass give each agent the same losses and gradients as its rows alone."""

import logging
import random
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from agents.engines import base_model
from agents.training.examples import Encoded
from agents.training.settings import ALL_LINEAR
from agents.training.sft.lora import PackingError
from agents.training.sft.packing import Block, routed
from tests.agents.one_by_one import mean_loss, off

SIZES = {
    "vocab_size": 512, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.2, "tie_word_embeddings": False,
}  # fmt: skip
TINY = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=16)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=8)),
}


def tiny(kind: str) -> Any:
    torch.manual_seed(5)
    return TINY[kind]().eval().requires_grad_(False)


def rows(count: int, longest: int, seed: int) -> list[Encoded]:
    """Rows of random tokens, with different lengths if possible."""
    rng = random.Random(seed)
    tokens = [[rng.randrange(512) for _ in range(max(4, longest - 3 * place))] for place in range(count)]
    return [Encoded(row[: len(row) // 2], row[len(row) // 2 :]) for row in tokens]


def society(model: Any, ranks: tuple[int, ...] = (4, 2, 4)) -> PeftModel:
    """The model with one adapter for each rank; none of the adapters' weights is zero."""
    tuned: Any = model
    for place, rank in enumerate(ranks):
        lora = LoraConfig(r=rank, lora_alpha=3 * rank, target_modules=ALL_LINEAR, task_type="CAUSAL_LM")
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


@pytest.mark.parametrize("kind", ["embedded", *TINY])
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
    with routed(model, tuned) as router:
        assert router.packs
        together = router.losses(blocks(BATCHES))
        together.sum().backward()
    found = gradients(tuned)
    assert together.tolist() == pytest.approx(losses, rel=1e-5)
    assert off(by_agent(found), by_agent(expected)) <= 1e-5
    if dtype == torch.float64:
        # In double precision, compare each tensor by itself; some are small differences of large numbers.
        assert off(found, expected) <= 1e-7


def test_in_bfloat16_adapters_stay_in_float32_and_gradients_are_near_those_of_float32() -> None:
    _, expected = alone(society(tiny("llama")), BATCHES)
    model = tiny("llama").to(torch.bfloat16)
    tuned = society(model)
    with routed(model, tuned) as router:
        assert router.packs
        router.losses(blocks(BATCHES)).sum().backward()
    found = gradients(tuned)
    assert {gradient.dtype for gradient in found.values()} == {torch.float32}
    assert off(by_agent(found), by_agent(expected)) <= 0.05


def test_a_layer_that_only_some_adapters_have() -> None:
    model = tiny("llama")
    tuned = society(model, (4,))
    tuned.add_adapter("agent-1", LoraConfig(r=2, target_modules=["v_proj"], init_lora_weights=False))
    _, expected = alone(tuned, BATCHES[:2])
    with routed(model, tuned) as router:
        router.losses(blocks(BATCHES[:2])).sum().backward()
    assert off(gradients(tuned), expected) <= 1e-5


def test_a_model_that_cannot_pack_is_trained_agent_by_agent_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny("llama")
    model.set_attn_implementation("eager")
    tuned = society(model)
    losses, expected = alone(tuned, BATCHES)
    with caplog.at_level(logging.WARNING), routed(model, tuned) as router:
        assert not router.packs
        each = [router.losses([block]) for block in blocks(BATCHES)]
        torch.cat(each).sum().backward()
    assert (
        "LlamaForCausalLM is trained on the rows of one agent at a time: it uses the attention 'eager'" in caplog.text
    )
    assert torch.cat(each).tolist() == pytest.approx(losses, rel=1e-5)
    assert off(gradients(tuned), expected) <= 1e-5


class LooksAcross(LlamaForCausalLM):
    """A model whose logits depend on the first token and the length of the sequence, like a recurrent model's."""

    def forward(self, input_ids: torch.Tensor, **kwargs: Any) -> Any:
        out = super().forward(input_ids, **kwargs)
        out.logits = out.logits + input_ids[:, :1, None] + input_ids.shape[1]
        return out


def test_a_model_whose_rows_would_see_each_other_is_found_out(caplog: pytest.LogCaptureFixture) -> None:
    model = LooksAcross(LlamaConfig(**SIZES)).requires_grad_(False)
    with caplog.at_level(logging.WARNING), routed(model, society(model)) as router:
        assert not router.packs
    assert "packed rows give other logits" in caplog.text
    assert model.config._attn_implementation == "sdpa"


def test_an_adapter_that_is_not_plain_lora_is_refused() -> None:
    model = tiny("llama")
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], use_dora=True))
    with pytest.raises(PackingError, match="q_proj: only plain LoRA"), routed(model, tuned):
        pass
