"""Identify base models and encoders by digest, so that a changed model is never mistaken for the old one."""

from prefect import task

from agents.debate.prompts import Prompts
from agents.debate.system_role import check_system_role
from agents.engines import base_model
from agents.engines.base_model import Bases
from agents.judging import embedding
from agents.judging.embedding import EncoderRef


@task(task_run_name="identify base {names}")
def identify_bases(names: list[str], trust_remote_code: bool, *, prompts: Prompts) -> Bases:
    """Check that the base models can be asked with these prompts, and compute their digests."""
    bases = base_model.identify_bases(names, trust_remote_code)
    check_system_role(prompts, names, trust_remote_code)
    return bases


@task(task_run_name="identify encoder {name}")
def identify_encoder(name: str) -> EncoderRef:
    """Find the sentence encoder and compute its digest."""
    return embedding.identify_encoder(name)
