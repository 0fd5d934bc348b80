"""vLLM gives the same texts as the transformers engine for models of several families, tuned and untuned."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from agents.engines import base_model
from agents.engines.base_model import identify_bases
from agents.engines.protocol import Request
from agents.engines.transformers.engine import TransformersEngine
from agents.engines.vllm import VllmEngine, VllmSettings
from agents.runners.local import Local
from tests.agents.engine_samples import GREEDY, quiet
from tests.families.conversations import conversations
from tests.families.models import VLLM_SIZES, write

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None,
    reason="vllm is not installed here; see `make test-vllm`",
)
ADAPTER = "a" * 64


@pytest.fixture(params=VLLM_SIZES)
def engines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[VllmEngine, TransformersEngine]]:
    """The two engines on a model, and an adapter of all its linear layers that changes what it says."""
    base = write(request.param, tmp_path / "base", **VLLM_SIZES[request.param])
    model, tokenizer = base_model.load(str(base), "cpu")
    torch.manual_seed(1)
    tuned = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    tuned.save_pretrained(str(tmp_path / ADAPTER), save_embedding_layers=False)
    local = TransformersEngine(tuned.unload(), tokenizer, adapters=tmp_path, batch_rows=16)
    offline = VllmSettings(memory_share=0.1).open(
        identify_bases([str(base)], False), Local(device="cpu", batch_rows=16), tmp_path
    )
    assert isinstance(offline, VllmEngine)
    yield offline, local
    offline.close()


def test_a_family_speaks_as_in_transformers(engines: tuple[VllmEngine, TransformersEngine]) -> None:
    offline, local = engines
    asked = [Request(messages, adapter, 1, 12) for messages in conversations() for adapter in (None, ADAPTER)]
    said = offline.complete(asked, GREEDY, quiet)
    assert said == local.complete(asked, GREEDY, quiet)
    assert [c.text for c in said[::2]] != [c.text for c in said[1::2]], "the adapter must differ for this to show"
