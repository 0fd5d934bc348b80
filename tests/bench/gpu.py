"""On a GPU: the rows of generation and training for the embedded base, and for a base with the size of a real model.

    make bench-cuda

The larger base has random weights in the shape of Llama 3.2 1B (https://huggingface.co/meta-llama/Llama-3.2-1B), in
bfloat16. Its responses mean nothing, but take as long as those of the real model.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agents.engines import base_model
from agents.training.learner import Learner
from agents.training.methods.sft import Sft
from agents.training.sft.train import finetune
from tests.bench import generation, measure, training
from tests.bench.measure import Row, quiet, table

GIB = 2**30
EXAMPLES = 32
"""The number of examples of each agent."""


def save_large(folder: Path) -> None:
    """Save a large base with the tokenizer of the embedded base."""
    _, tokenizer = base_model.load("embedded", "cpu")
    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = LlamaForCausalLM(config)
    # This makes the probabilities as unequal as a real model's; otherwise the nucleus would be the whole vocabulary.
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=0.2)
    model.to(torch.bfloat16).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def rows() -> Iterator[Row]:
    """The rows: the large base, the memory of joint training of its adapters, and the embedded base."""
    print(torch.cuda.get_device_name())
    with tempfile.TemporaryDirectory() as large:
        save_large(Path(large))
        torch.cuda.empty_cache()
        yield "**1.2 billion parameters, bfloat16**", "", "", "", ""
        yield from memory_rows(large)
        for base in (large, "embedded"):
            yield training.against_trl(
                "training of all agents (N=3), tokens/s: joint / TRL, agent by agent, the base loaded before",
                3,
                EXAMPLES,
                Sft(epochs=1),
                False,
                2,
                base,
            )
            yield from generation.rows(base)
            if base == large:
                yield "**the embedded base**", "", "", "", ""


def memory_rows(base: str) -> Iterator[Row]:
    """The row for GPU memory (GiB): the peak of joint training, against a base for each of the 2N agents."""
    loaded = base_model.load(base, "cuda")
    own = loaded[0].get_memory_footprint() / GIB
    for agents in (1, 3, 10):
        torch.cuda.reset_peak_memory_stats()
        finetune(*loaded, [Learner(d, 1) for d in training.datasets(agents, 16)], Sft(epochs=1), quiet)
        peak = torch.cuda.max_memory_allocated() / GIB
        yield (
            f"training N={agents}, peak GiB / a base for each agent, nothing else",
            f"{peak:.1f}",
            f"{2 * agents * own:.1f}",
            f"{peak / (2 * agents * own):.2f}",
            "",
        )


if __name__ == "__main__":
    measure.REPEATS = 3
    table(rows())
