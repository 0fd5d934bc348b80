"""Generation by all agents, compared with other ways to generate for the same prompts on the same machine.

    python -m tests.bench.generation      prints only these rows

Every agent has an adapter of default rank on all linear layers, with weights so small that it still writes solutions.
Rates count the tokens up to the end of each response, in tokens per second.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn.functional import linear
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.engines.chat import prompt_ids
from agents.engines.protocol import Completion, Request, Sampling
from agents.engines.transformers.engine import TransformersEngine
from agents.training.methods.sft import Sft
from agents.training.settings import ALL_LINEAR
from evaluation.problems.arithmetic import arithmetic_problems
from tests.bench.measure import DEVICE, Row, compared, quiet, rate, table

AGENTS = [f"{n}" * 64 for n in range(3)]
BATCH = 200
TOKENS = 160 if DEVICE == "cpu" else 80
ALONE = 12 if DEVICE == "cpu" else 2
"""The number of prompts that are answered one at a time."""


def asked(adapters: Sequence[str | None], count: int = BATCH) -> list[Request]:
    """`count` questions to each adapter."""
    questions = [problem.question for problem in itertools.islice(arithmetic_problems(77), count)]
    return [
        Request([DEFAULT.first(question)], adapter, 1000 * place + seed, TOKENS)
        for place, adapter in enumerate(adapters)
        for seed, question in enumerate(questions)
    ]


def save_adapters(folder: Path, base: str) -> None:
    """Save an adapter for each of `AGENTS` with PEFT."""
    settings = Sft()
    for seed, name in enumerate(AGENTS):
        torch.manual_seed(seed)
        model, _ = base_model.load(base, DEVICE)
        tuned = get_peft_model(model, LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=ALL_LINEAR))
        for parameter_name, parameter in tuned.named_parameters():
            if "lora_B" in parameter_name:
                torch.nn.init.normal_(parameter, std=0.001)
        tuned.save_pretrained(str(folder / name), save_embedding_layers=False)


def rows(base: str = "embedded") -> Iterator[Row]:
    """The rows: all agents against one prompt at a time, against PEFT, and on a CPU against the machine's limit."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save_adapters(folder, base)
        engine = TransformersEngine(*base_model.load(base, DEVICE), adapters=folder, batch_rows=BATCH)

        def ours() -> int:
            return sampled(engine.complete(asked(AGENTS), Sampling(), quiet))

        model, tokenizer = base_model.load(base, DEVICE)
        yield compared(
            "generation by 3 agents, tokens/s: engine / the base, one prompt at a time",
            rate(ours),
            rate(one_at_a_time(model, tokenizer)),
            60,
        )
        tuned: Any = PeftModel.from_pretrained(model, folder / AGENTS[0], adapter_name=AGENTS[0])
        for name in AGENTS[1:]:
            tuned.load_adapter(folder / name, adapter_name=name)
        yield compared(
            "generation by 3 agents, tokens/s: engine / PEFT unmerged, agent by agent",
            rate(ours),
            rate(by_peft(tuned, tokenizer)),
            1.6,
        )
        if DEVICE == "cpu":
            yield from floors(engine)


def sampled(completions: Sequence[Completion]) -> int:
    return sum(completion.sampled_tokens for completion in completions)


def one_at_a_time(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Callable[[], int]:
    """Work that runs transformers' generate on a few prompts, one at a time, without an adapter."""

    def work() -> int:
        tokens = 0
        for ids in prompt_ids(tokenizer, [request.messages for request in asked([None], ALONE)]):
            out = generate(model, torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long))
            tokens += out.shape[1] - len(ids)
        return tokens

    return work


def by_peft(tuned: Any, tokenizer: PreTrainedTokenizerBase) -> Callable[[], int]:
    """Work that runs transformers' generate with one adapter after another, in batches as large as the engine's."""

    def work() -> int:
        tokens = 0
        for name in AGENTS:
            tuned.set_adapter(name)
            prompts_ = prompt_ids(tokenizer, [request.messages for request in asked([name])])
            width = max(map(len, prompts_))
            ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts_])
            mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts_])
            said = generate(tuned, ids, mask)[:, width:]
            ended = (said == tokenizer.eos_token_id).int().cumsum(1)
            tokens += int((ended == 0).sum() + (ended.amax(1) > 0).sum())
        return tokens

    return work


def generate(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return model.generate(
        input_ids=ids.to(DEVICE),
        attention_mask=mask.to(DEVICE),
        do_sample=True,
        temperature=1.0,
        top_p=0.9,
        top_k=0,
        max_new_tokens=TOKENS,
    ).cpu()


def floors(engine: TransformersEngine) -> Iterator[Row]:
    """The rows for the time limit: matrix products alone, and matrix products plus reading the cached states.

    Matrix products take 2 x parameters x tokens operations, at the speed that the model's weights reach on a batch.
    Every sampled token reads the keys and values of all tokens before it, at the speed of a sum over a large tensor.
    """
    requests = asked(AGENTS)
    with torch.inference_mode():
        said = engine.complete(requests, Sampling(), quiet)
        tokens = sum(each.prompt_tokens + each.sampled_tokens for each in said)
        weights = [module.weight for module in engine.model.modules() if isinstance(module, torch.nn.Linear)]
        batch = [torch.rand(BATCH, weight.shape[1]) for weight in weights]
        large = torch.rand(100_000_000)

    config = engine.model.config
    state = 2 * 4 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    read = sum(state * each.sampled_tokens * (each.prompt_tokens + each.sampled_tokens / 2) for each in said)

    ours = rate(lambda: sampled(engine.complete(requests, Sampling(), quiet)))

    @torch.inference_mode()
    def products() -> float:
        started = time.perf_counter()
        for _ in range(20):
            for x, weight in zip(batch, weights, strict=True):
                linear(x, weight)
        return (time.perf_counter() - started) / (20 * BATCH) * tokens

    def reading() -> float:
        started = time.perf_counter()
        large.sum()
        return (time.perf_counter() - started) * read / (4 * len(large))

    written = sampled(said)
    yield compared("  / if only matrix products took time", ours, lambda: written / products(), None)
    yield compared(
        "  / if only these and reading cached states did", ours, lambda: written / (products() + reading()), None
    )


if __name__ == "__main__":
    table(rows())
