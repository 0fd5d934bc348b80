"""The transformers engine gives the same texts as transformers' generate; seeds and adapters work as documented."""

import logging
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.engines.protocol import Completion, EngineError, Request, Sampling
from agents.engines.transformers.engine import TransformersEngine, speaking_as
from agents.engines.transformers.room import SHARE
from agents.engines.transformers.sampler import choose, uniforms
from tests.agents.engine_samples import GREEDY, questions, quiet, requests, save_adapters


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    save_adapters(folder, ["one", "two"])
    return folder


@pytest.fixture(scope="module")
def engine(adapters: Path) -> TransformersEngine:
    model, tokenizer = base_model.load("embedded", "cpu")
    return TransformersEngine(model, tokenizer, adapters, batch_rows=8)


def reference(request: Request, adapter: Path | None) -> str:
    """The response to one prompt, from transformers' generate and PEFT's unmerged forward."""
    model, tokenizer = base_model.load("embedded", "cpu")
    speaker = PeftModel.from_pretrained(model, adapter) if adapter else model
    text = tokenizer.apply_chat_template(request.messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    out = speaker.generate(input_ids=ids, do_sample=False, max_new_tokens=request.max_new_tokens)
    return tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()


@pytest.mark.slow
def test_greedy_batch_equals_generate_one_by_one(engine: TransformersEngine) -> None:
    asked = requests(11)
    completions = engine.complete(asked, GREEDY, quiet)
    assert [c.text for c in completions] == [reference(r, None) for r in asked]


@pytest.mark.slow
def test_adapters_equal_plain_peft_and_mix_in_one_call(engine: TransformersEngine, adapters: Path) -> None:
    asked = [r for name in ("one", "two", None) for r in requests(4, name)]
    said = [c.text for c in engine.complete(asked, GREEDY, quiet)]
    assert said == [reference(r, adapters / r.adapter if r.adapter else None) for r in asked]
    assert len({tuple(said[:4]), tuple(said[4:8]), tuple(said[8:])}) == 3, "the adapters must differ for this to show"


def test_the_base_is_restored_bit_for_bit(engine: TransformersEngine, adapters: Path) -> None:
    before = {name: tensor.clone() for name, tensor in engine.model.state_dict().items()}
    with speaking_as(engine.model, adapters / "one"):
        assert any(not torch.equal(before[n], t) for n, t in engine.model.state_dict().items())
    after = engine.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_failure_inside_a_batch_restores_the_base_too(engine: TransformersEngine, adapters: Path) -> None:
    before = {name: tensor.clone() for name, tensor in engine.model.state_dict().items()}
    with pytest.raises(RuntimeError, match="out of memory"), speaking_as(engine.model, adapters / "two"):
        raise RuntimeError("out of memory")
    assert all(torch.equal(tensor, before[name]) for name, tensor in engine.model.state_dict().items())


def test_a_sample_depends_on_its_seed_and_not_on_batch_or_order(engine: TransformersEngine) -> None:
    asked = requests(12)
    texts = [c.text for c in engine.complete(asked, Sampling(), quiet)]
    shuffled = asked[::-1]
    wide = TransformersEngine(engine.model, engine.tokenizer, engine.adapters, batch_rows=64)
    assert [c.text for c in wide.complete(shuffled, Sampling(), quiet)] == texts[::-1]
    reseeded = [Request(r.messages, None, r.seed + 1000, r.max_new_tokens) for r in asked]
    assert [c.text for c in engine.complete(reseeded, Sampling(), quiet)] != texts


def test_limits_are_kept_and_told(engine: TransformersEngine) -> None:
    short, long = engine.complete(
        [Request([DEFAULT.first(questions(1)[0])], None, 1, tokens) for tokens in (3, 200)], GREEDY, quiet
    )
    assert (short.sampled_tokens, short.finished) == (3, False)
    assert long.finished and 3 < long.sampled_tokens < 200


def test_a_prompt_beyond_the_context_is_answered_by_nothing(engine: TransformersEngine) -> None:
    endless = Request([DEFAULT.first("1+" * 5000 + "1?")], None, 1, 50)
    nothing, something = engine.complete([endless, requests(1)[0]], GREEDY, quiet)
    assert nothing == Completion("", nothing.prompt_tokens, 0, False)
    assert nothing.prompt_tokens > engine.context
    assert something.text


def test_a_batch_takes_no_more_prompts_than_fit_into_the_free_memory(
    engine: TransformersEngine, adapters: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = requests(20)
    expected = engine.complete(asked, GREEDY, quiet)
    row = engine.memory.of(max(each.prompt_tokens for each in expected) + asked[0].max_new_tokens)
    crowded = TransformersEngine(engine.model, engine.tokenizer, adapters, batch_rows=16)
    monkeypatch.setattr("agents.engines.transformers.room.free_bytes", lambda device: round(7.5 * row / SHARE))
    heard: list[int] = []
    with caplog.at_level(logging.WARNING, "maft.engines"):
        assert crowded.complete(asked, GREEDY, lambda done, total: heard.append(done)) == expected
    assert [record.getMessage() for record in caplog.records] == [
        "16 prompts at once do not fit into the free memory; going on with 7"
    ]
    assert heard == [7, 14, 20]
    monkeypatch.setattr("agents.engines.transformers.room.free_bytes", lambda device: row // 2)
    with pytest.raises(EngineError, match=r"no memory for one prompt: .* GB; lower sampling.max_new_tokens"):
        crowded.complete(asked, GREEDY, quiet)


def test_out_of_memory_halves_the_batch_and_says_so(adapters: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = TransformersEngine(*base_model.load("embedded", "cpu"), adapters, batch_rows=16)
    asked = [*requests(20), *requests(9, "one")]
    expected = engine.complete(asked, GREEDY, quiet)
    tried: list[int] = []

    def small_memory(module: torch.nn.Module, arguments: tuple, given: dict, output: object) -> None:
        rows = len(given["past_key_values"].layers[0].keys)
        tried.append(rows)
        if rows > 5:
            raise torch.OutOfMemoryError(f"no room for {rows} rows")

    engine.model.register_forward_hook(small_memory, with_kwargs=True)
    heard: list[int] = []
    with caplog.at_level(logging.WARNING, "maft.engines"):
        assert engine.complete(asked, GREEDY, lambda done, total: heard.append(done)) == expected
    assert [record.getMessage() for record in caplog.records] == [
        "out of memory with 16 prompts at once; going on with 8",
        "out of memory with 8 prompts at once; going on with 4",
    ]
    assert max(tried) == 16 and heard == [4, 8, 12, 16, 20, 24, 28, 29]


def test_no_room_for_a_single_prompt_is_an_error(engine: TransformersEngine, adapters: Path) -> None:
    crowded = TransformersEngine(engine.model, engine.tokenizer, adapters, batch_rows=2)

    def no_memory(*arguments: object) -> None:
        raise torch.OutOfMemoryError("no room")

    hook = engine.model.register_forward_hook(no_memory)
    before = {name: tensor.clone() for name, tensor in engine.model.state_dict().items()}
    with pytest.raises(torch.OutOfMemoryError):
        crowded.complete(requests(4, "two"), GREEDY, quiet)
    hook.remove()
    assert all(torch.equal(tensor, before[name]) for name, tensor in engine.model.state_dict().items())


def test_no_requests_is_no_work(engine: TransformersEngine) -> None:
    assert engine.complete([], GREEDY, quiet) == []


@pytest.mark.parametrize("top_p", [0.3, 0.9, 1.0])
@pytest.mark.parametrize("vocabulary", [7, 300])
def test_choose_draws_from_the_nucleus_as_defined(vocabulary: int, top_p: float) -> None:
    torch.manual_seed(0)
    logits = torch.randn(vocabulary) * 2
    order = logits.argsort(descending=True)
    probabilities = logits.softmax(0)[order].double()
    size = int((probabilities.cumsum(0) < top_p).sum()) + 1
    expected = torch.zeros(vocabulary, dtype=torch.float64)
    expected[order[:size]] = probabilities[:size] / probabilities[:size].sum()
    draws = 40_000
    chosen = choose(logits.expand(draws, -1), torch.rand(draws, dtype=torch.float64), 1.0, top_p)
    seen = torch.bincount(chosen, minlength=vocabulary).double() / draws
    assert (seen[expected == 0] == 0).all()
    assert (seen - expected).abs().max() < 5 * 0.5 / draws**0.5


def test_uniforms_depend_on_the_seed_alone() -> None:
    together, alone = uniforms([3, 4, 5], 10), uniforms([4], 6)
    assert torch.equal(together[1, :6], alone[0])
    assert ((together >= 0) & (together < 1)).all()
