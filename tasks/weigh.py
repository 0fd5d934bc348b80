"""Weigh: say which base models or encoder this is, so that a changed one is never taken for the same."""

from prefect import task

from agents.engines import base_model
from agents.engines.base_model import Bases
from agents.judging import embedding
from agents.judging.embedding import EncoderRef


@task(task_run_name="weigh base {names}")
def weigh(names: list[str], trust_remote_code: bool) -> Bases:
    """Check the base models and take their digests."""
    return base_model.weigh(names, trust_remote_code)


@task(task_run_name="weigh encoder {name}")
def weigh_encoder(name: str) -> EncoderRef:
    """Find the sentence encoder and take its digest."""
    return embedding.weigh(name)
