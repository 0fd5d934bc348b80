"""Every family of models speaks as transformers' `generate` does, and learns as plain PEFT does."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from agents.engines import base_model
from agents.engines.chat import prompt_ids, turn_end
from agents.engines.protocol import Request
from agents.engines.transformers.engine import TransformersEngine, speaking_as
from agents.training.examples import encode
from agents.training.layers import left_out, linear_layers
from agents.training.learner import Learner
from agents.training.methods.sft import Sft
from agents.training.sft.train import finetune
from tests.agents.engine_samples import GREEDY, quiet
from tests.agents.one_by_one import off_but_flips, train
from tests.conftest import ROOT
from tests.families.conversations import conversations
from tests.families.models import FAMILIES, write
from tests.families.table import row

TOKENS = 12
SETTINGS = Sft(rank=2, epochs=1, batch_size=2)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def engine(family: str, tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = write(family, tmp_path_factory.mktemp(family))
    return TransformersEngine(*base_model.load(str(folder), "cpu"), folder, batch_rows=8)


def test_it_speaks_as_generate_does(engine: TransformersEngine) -> None:
    model: Any = engine.model
    asked, expected = conversations(), []
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
    assert [each.text for each in found] == expected


def learners() -> list[Learner]:
    """Two agents with examples of different lengths, one of them after an earlier turn."""
    said = [
        [*asked, {"role": "assistant", "content": f"It is {place}."}] for place, asked in enumerate(conversations())
    ]
    return [Learner(said, seed=1), Learner(said[1:], seed=2)]


@pytest.mark.slow
def test_it_learns_as_plain_peft_does(engine: TransformersEngine, tmp_path: Path) -> None:
    model, tokenizer = engine.model, engine.tokenizer
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def check_the_base() -> None:
        after = model.state_dict()
        assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)

    trained = finetune(model, tokenizer, learners(), SETTINGS, quiet)
    check_the_base()
    for own, learner in zip(trained, learners(), strict=True):
        expected = train(model, encode(learner.examples, tokenizer), SETTINGS, learner.seed)
        assert off_but_flips(own.weights, expected) <= 1e-3
    adapted = {name.partition(".lora_")[0].removeprefix("base_model.model.") for name in trained[0].weights}
    assert {*linear_layers(model)} - {name.removesuffix(".base_layer") for name in adapted} == {*left_out(model)}
    trained[0].save(tmp_path)
    prompt = torch.tensor([prompt_ids(tokenizer, conversations())[3]])
    with torch.inference_mode():
        with speaking_as(model, tmp_path):
            merged = model(input_ids=prompt, use_cache=False).logits
        plain: Any = PeftModel.from_pretrained(copy.deepcopy(model), tmp_path)
        alone = plain(input_ids=prompt, use_cache=False).logits
    assert float((alone - merged).norm() / alone.norm()) <= 1e-4
    check_the_base()


def test_a_turn_ends_with_the_token_of_its_template(family: str, engine: TransformersEngine) -> None:
    end = FAMILIES[family].template.special[-1]
    assert turn_end(engine.tokenizer) == end
    for learner in learners():
        for example in encode(learner.examples, engine.tokenizer):
            assert engine.tokenizer.decode(example.target[-1:]) == end


def test_the_table_of_the_docs_says_what_it_can_do(family: str, engine: TransformersEngine) -> None:
    """`make docs` writes the table."""
    assert row(family, engine) in (ROOT / "docs" / "models.md").read_text("utf-8").splitlines()
