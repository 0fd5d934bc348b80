"""A base in four bits speaks and learns as a model whose weights are the numbers that its four bits stand for."""

from pathlib import Path
from typing import Any

import pytest
import torch

from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.engines.chat import prompt_ids
from agents.engines.protocol import Request
from agents.engines.transformers.engine import TransformersEngine, speaking_as
from agents.training.learner import Learner
from agents.training.methods.sft import Sft
from agents.training.sft.train import finetune
from agents.try_bases import tried_base
from tests.agents.engine_samples import GREEDY, quiet
from tests.agents.one_by_one import off_but_flips
from tests.families.conversations import conversations
from tests.families.models import write

bitsandbytes = pytest.importorskip("bitsandbytes", reason="see `make test-nf4`")
SETTINGS = Sft(rank=2, epochs=2, batch_size=2)
LINEAR = ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A block of NF4 has 64 weights.
    return write("llama3", tmp_path_factory.mktemp("base"), hidden_size=64, intermediate_size=128)


@pytest.fixture(scope="module")
def four_bits(folder: Path) -> TransformersEngine:
    return TransformersEngine(*base_model.load(str(folder), "cpu", dtype="nf4"), folder, batch_rows=8)


@pytest.fixture(scope="module")
def plain(folder: Path, four_bits: TransformersEngine) -> TransformersEngine:
    """A model without four bits whose weights are the same numbers."""
    model, tokenizer = base_model.load(str(folder), "cpu")
    for name, module in four_bits.model.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            weight: Any = module.weight
            model.get_submodule(name).weight.data = bitsandbytes.functional.dequantize_4bit(
                weight.data, weight.quant_state
            ).to(torch.float32)
    return TransformersEngine(model, tokenizer, folder, batch_rows=8)


def state(engine: TransformersEngine) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in engine.model.state_dict().items()}


def test_all_linear_layers_but_the_head_have_four_bits(folder: Path, four_bits: TransformersEngine) -> None:
    layers = {n.rpartition(".")[2] for n, m in four_bits.model.named_modules() if type(m).__name__ == "Linear4bit"}
    assert layers == {*LINEAR}
    exact = base_model.load(str(folder), "cpu")[0].state_dict()["model.layers.0.self_attn.q_proj.weight"]
    assert four_bits.model.state_dict()["model.layers.0.self_attn.q_proj.weight"].numel() == exact.numel() / 2


def test_it_speaks_as_the_plain_model(four_bits: TransformersEngine, plain: TransformersEngine) -> None:
    asked = [Request(messages, None, 1, 12) for messages in conversations()]
    assert four_bits.complete(asked, GREEDY, quiet) == plain.complete(asked, GREEDY, quiet)


def test_it_learns_as_the_plain_model_and_speaks_with_what_it_learned(
    four_bits: TransformersEngine, plain: TransformersEngine, tmp_path: Path
) -> None:
    said = [[*asked, {"role": "assistant", "content": f"It is {n}."}] for n, asked in enumerate(conversations())]
    before = state(four_bits)
    found, expected = (
        finetune(engine.model, engine.tokenizer, [Learner(said, 1), Learner(said[:2], 2)], SETTINGS, quiet)
        for engine in (four_bits, plain)
    )
    for own, right in zip(found, expected, strict=True):
        assert off_but_flips(own.weights, right.weights) <= 1e-3
        assert own.last_loss == pytest.approx(right.last_loss, rel=1e-4)
    found[0].save(tmp_path)
    prompt = torch.tensor([prompt_ids(four_bits.tokenizer, conversations())[3]])
    logits = []
    for engine in (four_bits, plain):
        with torch.inference_mode(), speaking_as(engine.model, tmp_path):
            logits.append(engine.model(input_ids=prompt, use_cache=False).logits)
    assert float((logits[0] - logits[1]).norm() / logits[1].norm()) <= 1e-4
    after = state(four_bits)
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert not any("lora" in name for name, _ in four_bits.model.named_modules())


def test_its_agents_are_trained_one_at_a_time(four_bits: TransformersEngine) -> None:
    found = tried_base(four_bits, "base", SETTINGS, opening=DEFAULT.opening(""), learners=2, decodes=True)
    assert (found.decoding, found.training, found.layers) == ("loop", "one at a time", LINEAR)
