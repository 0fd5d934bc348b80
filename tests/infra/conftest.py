"""Fixtures for the tests of the lineage: the MLflow server, a tiny base model and a LoRA adapter for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.operation.servers import Servers


@pytest.fixture
def tracking(shared_servers: Servers, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of the MLflow server, to which MLFLOW_TRACKING_URI is set during the test."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shared_servers.mlflow_tracking_uri)
    return shared_servers.mlflow_tracking_uri


@pytest.fixture(scope="session")
def tiny_base() -> Callable[[], Any]:
    """A function that makes the same tiny untuned Llama on every call."""

    def make() -> Any:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
        )
        return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]

    return make


@pytest.fixture(scope="session")
def tiny_adapter(tiny_base: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a LoRA adapter, saved by PEFT."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("adapter")
    lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(tiny_base(), lora).save_pretrained(str(folder))
    return folder
