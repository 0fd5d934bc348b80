"""Weigh: say which base model or encoder this is, so that a changed one is never taken for the same."""

from prefect import task

from agents import embedding
from agents.embedding import EncoderRef
from agents.engines import base_model
from agents.engines.base_model import Base


@task(task_run_name="weigh base {name}")
def weigh(name: str, trust_remote_code: bool) -> Base:
    """Check the base model and take its digest."""
    base_model.check(name)
    return Base(name=name, sha256=base_model.digest(name), trust_remote_code=trust_remote_code)


@task(task_run_name="weigh encoder {name}")
def weigh_encoder(name: str) -> EncoderRef:
    """Find the sentence encoder and take its digest."""
    return embedding.weigh(name)
