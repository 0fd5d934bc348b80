"""Every family of models speaks as transformers' `generate` does, and learns as plain PEFT does."""

from typing import Any

import pytest
import torch

from agents.engines import base_model
from agents.engines.chat import Message, prompt_ids
from agents.engines.protocol import Request
from agents.engines.transformers.engine import TransformersEngine
from tests.agents.engine_samples import GREEDY, quiet
from tests.families.models import FAMILIES, write

QUESTIONS = ["What is 7 * 12?", "Hi", "A farmer has 17 sheep; all but 9 run away. How many are left?"]
TOKENS = 12


def conversations() -> list[list[Message]]:
    """Conversations of different lengths; the last has an earlier answer."""
    asked: list[list[Message]] = [[{"role": "user", "content": question}] for question in QUESTIONS]
    return [*asked, [*asked[0], {"role": "assistant", "content": "It is 84."}, {"role": "user", "content": "Sure?"}]]


@pytest.fixture(scope="module", params=FAMILIES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = write(request.param, tmp_path_factory.mktemp(request.param))
    return TransformersEngine(*base_model.load(str(folder), "cpu"), folder, batch_rows=8)


def test_it_speaks_as_generate_does(engine: TransformersEngine) -> None:
    model: Any = engine.model
    attention = model.config._attn_implementation
    asked = conversations()
    expected = []
    for ids in prompt_ids(engine.tokenizer, asked):
        said = model.generate(
            input_ids=torch.tensor([ids]),
            do_sample=False,
            max_new_tokens=TOKENS,
            eos_token_id=sorted(engine.end_ids),
            pad_token_id=0,
        )
        expected.append(engine.tokenizer.decode(said[0, len(ids) :], skip_special_tokens=True).strip())
    found = engine.complete([Request(messages, None, 1, TOKENS) for messages in asked], GREEDY, quiet)
    print(engine.decoding.name, engine.decoding.reason, attention)
    assert [each.text for each in found] == expected
