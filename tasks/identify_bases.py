"""Identify base models and encoders by digest, so that a changed model is never mistaken for the old one."""

from prefect import task

from agents.engines.base_model import Bases
from agents.judging import embedding
from agents.judging.embedding import EncoderRef
from infra.config import bases
from infra.config.benchmark import Benchmark
from infra.config.job import Config


@task(task_run_name="identify the base models")
def identify_bases(config: Config | Benchmark, names: list[str]) -> Bases:
    """Check that the base models can be used as the config says, and compute their digests."""
    bases.check_bases(config, names)
    return bases.identify_bases(config, names)


@task(task_run_name="identify encoder {name}")
def identify_encoder(name: str) -> EncoderRef:
    """Find the sentence encoder and compute its digest."""
    return embedding.identify_encoder(name)
