"""What a base model can do is found out before anything is sampled, and what would fail later is refused."""

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from agents import steps
from agents.engines import base_model
from agents.engines.base_model import BaseModelError, identify_bases
from agents.engines.openai import OpenAISettings
from agents.engines.protocol import EngineError
from agents.engines.transformers import TransformersSettings
from agents.engines.transformers.engine import TransformersEngine
from agents.run import Run
from agents.store import Store
from agents.training.methods.dpo import Dpo
from agents.training.methods.sft import Sft
from agents.training.settings import TrainingError
from agents.try_bases import try_bases, try_engines
from tests.agents.openai_server import CHAT, LOAD, serving
from tests.families.models import write

SEVEN = ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj")


def run(tmp_path: Path, *names: str, engine: object = None) -> Run:
    return Run(
        steps=steps,
        bases=identify_bases(names, False),
        engine=engine or TransformersSettings(),
        store=Store(tmp_path / "store"),
    )


def test_the_embedded_model_has_nothing_to_note(tmp_path: Path) -> None:
    (found,) = try_bases(run(tmp_path, "embedded"), finetune=Sft(), agents=3)
    assert (found.decoding, found.training, found.layers, found.turn_end) == ("loop", "together", SEVEN, "<|end|>")
    assert found.notes == []


def test_different_bases_are_tried_each_once(tmp_path: Path) -> None:
    hybrid = str(write("qwen3.5", tmp_path / "hybrid"))
    first, second = try_bases(run(tmp_path, "embedded", hybrid, "embedded"), finetune=Sft(), agents=3)
    assert (first.base, second.base) == ("embedded", hybrid)
    assert second.notes == [
        f"{hybrid} is decoded by transformers' generate, which is slower: its layers keep a state, not keys and "
        "values (linear_attention).",
        f"The agents of {hybrid} are trained one at a time: {second.why_one_at_a_time}.",
    ]


def test_a_model_that_gives_all_tokens_the_same_chance(tmp_path: Path) -> None:
    folder = write("llama3", tmp_path / "base")
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "lm_head.weight": weights["lm_head.weight"] * 0}, folder / "model.safetensors")
    (found,) = try_bases(run(tmp_path, str(folder)), finetune=Sft(), agents=3)
    assert (found.decoding, found.training) == ("loop", "together")


def test_preferences_are_trained_one_at_a_time(tmp_path: Path) -> None:
    (found,) = try_bases(run(tmp_path, "embedded"), finetune=Dpo(), agents=3)
    assert found.training == "one at a time"


def test_a_template_that_cannot_hold_a_debate(tmp_path: Path) -> None:
    folder = write("llama3", tmp_path / "base")
    (folder / "chat_template.jinja").write_text("{{ messages[-1]['content'] }}", "utf-8")
    with pytest.raises(BaseModelError, match="cannot hold a debate"):
        try_bases(run(tmp_path, str(folder)), finetune=Sft(), agents=3)


def test_a_layer_that_the_model_lacks(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"names q_prj.*all-linear, or name some of .*q_proj"):
        try_bases(run(tmp_path, "embedded"), finetune=Sft(target_modules=["q_prj"]), agents=3)


def test_a_server_has_to_speak_with_an_adapter(tmp_path: Path) -> None:
    folders = Store(tmp_path / "store").folders
    with serving(TransformersEngine(*base_model.load("embedded", "cpu"), adapters=folders)) as server:
        served = run(tmp_path, "embedded", engine=OpenAISettings(url=server.url, attempts=1))
        (found,) = try_bases(served, finetune=Sft(rank=2), agents=3)
        assert (found.decoding, found.training) == (None, "together") and not server.seen
        try_engines(served, finetune=Sft(rank=2))
        assert [len(server.asked(path)) for path in (LOAD, CHAT)] == [1, 1]
        server.calm()
        server.can_load = False
        with pytest.raises(EngineError, match=r"did not load adapter .*start vLLM with --enable-lora"):
            try_engines(served, finetune=Sft(rank=2))
        assert not server.asked(CHAT), "nothing is sampled"
