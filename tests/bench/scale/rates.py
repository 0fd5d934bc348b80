"""All numbers that the model of the cost starts from, each with its source. docs/scale.md says how far to trust them.

A source is a command of this repository, whose numbers are in docs/bench.md or docs/scale.md, or a publication. There
are two sets: `ours` has what was measured of maft itself, on an H200 with a base of 1.2 billion parameters, carried
over to larger bases; `published` has the best numbers that others measured of other programs.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Base:
    """The shape of a base model: what its adapters weigh, and how far it is from the base that was measured.

    Source of the shapes: the configs of the models, also in table 3 of https://arxiv.org/abs/2407.21783.
    """

    name: str
    parameters: float
    layers: int
    hidden: int
    inner: int
    keys: int
    """The width of the keys, and that of the values."""

    def adapter_bytes(self, rank: int = 16) -> int:
        """Bytes of an adapter in float32 on all linear layers: two thin matrices for each layer's in- and outputs."""
        attention = 2 * (self.hidden + self.hidden) + 2 * (self.hidden + self.keys)
        return 4 * rank * self.layers * (attention + 3 * (self.hidden + self.inner))


MEASURED = Base("Llama 3.2 1B", 1.24e9, 16, 2048, 8192, 512)
"""The shape that `make bench-cuda` measures, with random weights."""
SMALL = Base("Llama 3.1 8B", 8.03e9, 32, 4096, 14_336, 1024)
LARGE = Base("Llama 3.1 70B", 70.6e9, 80, 8192, 28_672, 1024)


@dataclass(frozen=True)
class Rates:
    """How fast things are. Rates of tokens are for one GPU, which is one actor."""

    read: float
    """Tokens of prompts that are read in a second."""
    sampled: float
    """Tokens that are sampled in a second, in the limit of many rows at once."""
    step: float
    """Seconds to sample one token of one row: launching kernels, reading the weights."""
    trained: float
    """Tokens that agents are trained on in a second."""
    load: float
    """Seconds to load the base; all actors do it at once, each from its own machine or from a store that keeps up."""
    adapter_bytes: int
    """Bytes of one agent's adapter."""
    # What follows does not depend on the base.
    batch_rows: int = 200
    """Prompts in a portion, at most: the default of `runner.batch_rows`."""
    portions: int = 2
    """Portions for each actor: `agents.runners.ray.PORTIONS`."""
    portion: float = 0.003
    """Seconds of the driver to hand out a portion. `python -m tests.bench.scale.steps ray`: 1.4 to 3.6 ms with two
    actors on two busy cores, 2026-11-29."""
    start: float = 12.0
    """Seconds of a job that computes nothing: docs/bench.md, *The default job*, the same job again from the cache."""
    actor: float = 12.0
    """Seconds until actors can work, without loading a large base. The same command: 9.5 and 11.8 s."""
    response: float = 50e-6
    """Seconds of the driver for a response: grading, storing, the vote, the scores, with 16 agents and more.
    `python -m tests.bench.scale.steps`."""
    split: float = 9e-6
    """Seconds of the driver for a response that a split reads; each agent's split reads the responses of all agents.
    The same command."""
    register: float = 3.0
    """Seconds to register a generation, without what grows with the agents."""
    register_agent: float = 0.5
    """Seconds for each of 2N agents. `python -m tests.bench.scale.count`: on two busy cores, 5.0 s in all with N = 2,
    6.1 with 4, 10.8 with 8. On a machine of its own it took 4.4 s with N = 3 (docs/bench.md)."""
    files: int = 220
    """Files that a generation writes, without what grows with the agents; the same command."""
    files_agent: int = 9
    """Files for each of 2N agents; the same command."""
    put: float = 0.02
    """Seconds to write a small file into a bucket: OpenStack Swift on two busy cores, 2026-11-27. It was measured once
    and has no command."""
    stored: float = 64 * 2**20 / 0.67
    """Bytes that are written into a bucket in a second: 64 MiB into moto 5.2.5 in 0.67 s; as the line above."""
    copies: int = 3
    """Copies of an adapter that a generation writes: `agents.preview.forecast.COPIES`."""


def ours(base: Base) -> Rates:
    """What was measured of maft's own engine and training, carried over from 1.2 billion parameters to this base.

    docs/bench.md, *On a GPU* (`make bench-cuda`, one H200, 2026-11-26): the engine samples 11,322 tokens/s with 200
    rows at once, transformers 89 tokens/s with one; training takes in 15,063 tokens/s.

    A step of decoding is taken as a fixed time, which grows with the number of layers, and a time for each row, which
    grows with the number of parameters: step(rows) = step(1) + rows / sampled. Training multiplies, so it grows
    with the parameters. Reading is a pass forwards; training is one forwards and one backwards, so reading is at least
    twice as fast. Loading: 4 min 25 s for a base of 70 billion parameters from S3, before Anyscale made it faster,
    https://techecho.bigdataflowing.com/en/item/37871241.
    """
    more, deeper = base.parameters / MEASURED.parameters, base.layers / MEASURED.layers
    rows, sampled, alone, trained = 200, 11_322, 89, 15_063
    step = 1 / alone
    return Rates(
        read=2 * trained / more,
        sampled=rows / (rows / sampled - step) / more,
        step=step * deeper,
        trained=trained / more,
        load=265 * base.parameters / LARGE.parameters,
        adapter_bytes=base.adapter_bytes(),
    )


def solved(first: tuple[int, int, float], second: tuple[int, int, float]) -> tuple[float, float]:
    """The rates of reading and sampling from two throughputs: (tokens read, tokens sampled, tokens sampled a second).

    A request that reads r tokens and samples s takes r / read + s / sampled of a GPU that is kept busy. Two lengths of
    requests give two equations.
    """
    (r1, s1, rate1), (r2, s2, rate2) = first, second
    determinant = r1 * s2 - r2 * s1
    per_read = (s1 / rate1 * s2 - s2 / rate2 * s1) / determinant
    per_sampled = (r1 * s2 / rate2 - r2 * s1 / rate1) / determinant
    return 1 / per_read, 1 / per_sampled


def published(base: Base) -> Rates:
    """What others measured of other programs, most of it with weights in eight bits, which maft does not have.

    Sampling: TensorRT-LLM 1.0, one H200, FP8, requests of 500/2000 and 2048/128 tokens (read/sampled),
    https://github.com/NVIDIA/TensorRT-LLM/blob/00f37686aa854010d68bcbd0f4ab000221541ca6/docs/source/performance/perf-overview.md.
    One row at a time: 4.63 ms a token of 8B; 18.9 ms of Llama 3.3 70B on two H100, FP8,
    https://docs.nvidia.com/nim/benchmarking/llm/1.0.0/performance (version 1.8.0).
    Training: LoRA of Llama 2 7B and 70B, FP8, packed to 4,096 tokens, for each of eight H100,
    https://github.com/NVIDIA/NeMo/blob/070a0bb168d405d653b9734c0017cf5078e77c0d/docs/source/performance/performance_summary.md.
    Loading: 20 s for a base of 70 billion parameters, after it (the same page).
    """
    if base == SMALL:
        read, sampled = solved((500, 2000, 20_770), (2048, 128, 3_538))
        step, trained = 4.63e-3, 25_206.0
    elif base == LARGE:
        read, sampled = solved((500, 2000, 3_666), (2048, 128, 442))
        step, trained = 18.9e-3, 2_557.0
    else:
        raise ValueError(f"nothing is cited for {base.name}")
    load = 20 * base.parameters / LARGE.parameters
    return Rates(read, sampled, step, trained, load, base.adapter_bytes())


PRICE = (2.5, 7.0)
"""Dollars for an hour of an H200 on demand, the lowest and the highest of 2026-05: from $2.50 to $7.00,
https://www.mercatus-ai.com/blog/cloud-gpu-pricing."""
