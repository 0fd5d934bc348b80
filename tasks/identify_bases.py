"""Identify base models and encoders by digest, so that a changed model is never mistaken for the old one."""

from prefect import task

from agents.engines import base_model
from agents.engines.base_model import Bases
from agents.judging import embedding
from agents.judging.embedding import EncoderRef


@task(task_run_name="identify base {names}")
def identify_bases(names: list[str], trust_remote_code: bool) -> Bases:
    """Check the base models and compute their digests."""
    return base_model.identify_bases(names, trust_remote_code)


@task(task_run_name="identify encoder {name}")
def identify_encoder(name: str) -> EncoderRef:
    """Find the sentence encoder and compute its digest."""
    return embedding.identify_encoder(name)
