"""vLLM, offline and over HTTP, gives the same texts as the transformers engine (`make test-vllm`)."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.engines.base_model import identify_bases
from agents.engines.openai import OpenAISettings
from agents.engines.openai.engine import OpenAIEngine
from agents.engines.protocol import Completion, Engine, EngineError, Request, Sampling
from agents.engines.transformers.engine import TransformersEngine
from agents.engines.vllm import VllmEngine, VllmSettings
from agents.runners.local import Local
from tests.agents.engine_samples import GREEDY, quiet, requests, save_adapters
from tests.conftest import SMALL, Maft, free_port

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None,
    reason="vllm is not installed here; see `make test-vllm`",
)
ONE, TWO, THREE = (letter * 64 for letter in "abc")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = tmp_path_factory.mktemp("adapters")
    save_adapters(folder, [ONE, TWO, THREE])
    return TransformersEngine(*base_model.load("embedded", "cpu"), adapters=folder, batch_rows=64)


@pytest.fixture(scope="module")
def offline(local: TransformersEngine) -> Iterator[VllmEngine]:
    runner = Local(device="cpu", batch_rows=64)
    engine = VllmSettings(memory_share=0.1).open(identify_bases(["embedded"], False), runner, local.adapters)
    assert isinstance(engine, VllmEngine)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def served(local: TransformersEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAIEngine]:
    """The openai engine with a real vLLM server, which is started as the manual says."""
    port = free_port()
    log = tmp_path_factory.mktemp("server") / "log"
    where = ["--model", str(base_model.EMBEDDED), "--host", "127.0.0.1", "--port", str(port)]
    options = ["--enable-lora", "--max-loras", "4", "--max-lora-rank", "16", "--generation-config", "vllm"]
    on_cpu = ["--dtype", "float32", "--block-size", "32", "--enforce-eager", "--no-enable-chunked-prefill"]
    runtime = {
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *where, *options, *on_cpu],
            env={**os.environ, **runtime},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 300
        while not _healthy(url):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.5)
        yield OpenAIEngine(OpenAISettings(url=f"{url}/v1", concurrency=64), local.adapters)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(params=["offline", "served"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.getfixturevalue(request.param)


def test_greedy_equals_transformers_for_base_and_three_adapters_in_one_batch(
    engine: Engine, local: TransformersEngine
) -> None:
    asked = [request for name in (ONE, None, TWO, THREE) for request in requests(8, name)]
    asked = asked[::3] + asked[1::3] + asked[2::3]  # Neighbouring requests have different adapters.
    heard: list[int] = []
    said = engine.complete(asked, GREEDY, lambda done, total: heard.append(done))
    assert said == local.complete(asked, GREEDY, quiet)
    assert heard == sorted(heard) and heard[-1] == 32
    by_adapter = {name: [c.text for c, r in zip(said, asked, strict=True) if r.adapter == name] for name in (ONE, None)}
    assert by_adapter[ONE] != by_adapter[None], "the adapters must differ for this to show"


def test_samples_repeat_under_their_seeds(engine: Engine) -> None:
    asked = [*requests(8), *requests(8, TWO)]
    first = engine.complete(asked, Sampling(), quiet)
    assert engine.complete(asked, Sampling(), quiet) == first
    reseeded = [Request(r.messages, r.adapter, 2**63 - 1 - r.seed, r.max_new_tokens) for r in asked]
    assert engine.complete(reseeded, Sampling(), quiet) != first


def test_many_long_prompts_are_sampled(engine: Engine) -> None:
    """On a CPU, vLLM 0.32 crashes when it processes seeded requests in portions, so maft avoids that."""
    long = [Request([DEFAULT.first("1+" * 300 + "1?")], None, seed, 5) for seed in range(40)]
    assert len(engine.complete(long, Sampling(), quiet)) == 40


def test_limits_are_kept_and_told(engine: Engine) -> None:
    short, long = engine.complete([*requests(1, tokens=3), *requests(1, tokens=200)], GREEDY, quiet)
    assert (short.sampled_tokens, short.finished) == (3, False)
    assert long.finished and 3 < long.sampled_tokens < 200


def test_a_prompt_beyond_the_context_is_answered_by_nothing(engine: Engine) -> None:
    endless = Request([DEFAULT.first("1+" * 5000 + "1?")], None, 1, 50)
    nothing, something = engine.complete([endless, requests(1)[0]], GREEDY, quiet)
    assert nothing == Completion("", nothing.prompt_tokens, 0, False)
    assert something.text
    assert engine.complete([], GREEDY, quiet) == []


def test_an_adapter_is_loaded_once_by_a_server(served: OpenAIEngine) -> None:
    for _ in range(2):
        served.complete([*requests(1, ONE, 3), *requests(1, TWO, 3)], GREEDY, quiet)
    models = httpx.get(f"{served.settings.url}/models", timeout=30).json()["data"]
    assert {ONE, TWO} <= {model["id"] for model in models if model["parent"]}
    assert len(models) == len({model["id"] for model in models})


def kill_engine() -> None:
    for child in psutil.Process().children(recursive=True):
        # A killed process stays a zombie, without a command line, until its parent has noticed.
        if child.status() != psutil.STATUS_ZOMBIE and "EngineCore" in " ".join([child.name(), *child.cmdline()]):
            child.kill()


@pytest.mark.parametrize("when", ["before it is asked", "while it speaks"])
def test_a_process_that_ended_is_named_and_another_started(offline: VllmEngine, when: str) -> None:
    asked = [*requests(1, ONE, 2), *requests(20, ONE, 100)]
    expected = offline.complete(asked, GREEDY, quiet)
    if when == "before it is asked":
        kill_engine()
    with pytest.raises(EngineError, match="its process ended"):
        offline.complete(asked, GREEDY, lambda done, total: kill_engine())
    assert offline.complete(asked, GREEDY, quiet) == expected


def test_a_higher_rank_starts_it_anew(offline: VllmEngine, local: TransformersEngine, tmp_path: Path) -> None:
    offline.complete(requests(1, tokens=2), GREEDY, quiet)
    assert offline.rank == 16
    save_adapters(local.adapters, ["d" * 64], rank=24)
    asked = requests(4, "d" * 64)
    assert offline.complete(asked, GREEDY, quiet) == local.complete(asked, GREEDY, quiet)
    assert offline.rank == 32


def test_a_job_runs_with_it(maft: Maft, tmp_path: Path) -> None:
    told = maft.json("run", "--home", str(tmp_path), *SMALL, "--set", "iterations=1", "--set", "engine.name=vllm")
    assert len(told["generations"]) == 2 and told["generations"][1]["sampled_tokens"] > 0
    again = maft.json("run", "--home", str(tmp_path), *SMALL, "--set", "iterations=1", "--set", "engine.name=vllm")
    assert again["generations"] == told["generations"] and again["cached"] > told["cached"]
