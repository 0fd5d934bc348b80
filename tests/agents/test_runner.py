"""The device, the threads and the type of numbers that a job is run with.

Run: pytest tests/agents/test_runner.py
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.engines.base_model import identify_bases
from agents.engines.protocol import EngineError
from agents.engines.transformers import TransformersSettings
from agents.runners.local import Local
from agents.runners.ray import Ray
from infra.config.job import Config
from infra.config.sections import material
from infra.home.cache import cache_key


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_devices_that_torch_knows(device: str) -> None:
    assert Local(device=device).device == device


@pytest.mark.parametrize("device", ["tpu", "", "cuda:", "cuda:-1", "cuda:x", "CPU", "cpu:0"])
def test_other_devices_are_refused(device: str) -> None:
    with pytest.raises(ValueError, match="it must be auto, cpu, cuda or cuda:N"):
        Local(device=device)


def test_a_device_that_is_not_here_is_refused_before_anything_is_loaded() -> None:
    Local(device="cpu").check()
    there = torch.cuda.device_count()
    with pytest.raises(EngineError, match=rf"^runner.device is cuda:{there}, but torch finds (no GPU|only \d+ GPUs)"):
        Local(device=f"cuda:{there}").check()


def test_the_threads_are_those_of_the_runner(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        TransformersSettings().open(identify_bases(["embedded"], False), Local(device="cpu", threads=3), tmp_path)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("given", "spin"),
    [({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_a_waiting_thread_gives_its_core_away_unless_the_user_says_otherwise(given: dict[str, str], spin: str) -> None:
    own = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", "import os, agents; print(os.environ.get('GOMP_SPINCOUNT'))"]
    assert subprocess.run(command, env={**own, **given}, capture_output=True, text=True).stdout.strip() == spin


def test_the_type_of_numbers_is_part_of_every_cache_key_and_the_rest_of_the_runner_of_none() -> None:
    bases = [identify_bases(["embedded"], False, dtype=dtype) for dtype in ("auto", "float32", "bfloat16")]  # type: ignore[arg-type]
    assert len({cache_key("a step", {"bases": each}, modules=set()) for each in bases}) == 3
    runners: list[Any] = [{}, {"device": "cpu", "batch_rows": 3, "threads": 2}, {"dtype": "bfloat16"}]
    plain, moved, typed = (material(Config(runner=Local(**each))) for each in runners)
    assert plain == moved != typed


def test_a_model_in_bfloat16(tmp_path: Path) -> None:
    bases = identify_bases(["embedded"], False, dtype="bfloat16")
    engine: Any = TransformersSettings().open(bases, Local(device="cpu"), tmp_path)
    assert {weight.dtype for weight in engine.model.parameters()} == {torch.bfloat16}


def test_actors_are_not_material_and_work_with_a_thread_for_each_cpu() -> None:
    here, there = Config(runner=Local(threads=2)), Config(runner=Ray(address="10.0.0.1:6379", actors=8, cpus=2))
    assert material(here) == material(there)
    assert there.runner.of_one_place == Local(device="cpu", threads=2)
    assert isinstance(there.runner, Ray) and (there.runner.places, there.runner.portions) == (8, 16)
    assert Ray(gpus=0.5).of_one_place.device == "cuda"


@pytest.mark.parametrize("address", ["10.0.0.1", ":6379", "http://10.0.0.1:6379", "head:port"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(ValueError, match=r"it must be HOST:PORT, such as 10\.0\.0\.1:6379"):
        Ray(address=address)
