"""A sample of a job whose engine is a server."""

from pathlib import Path
from typing import TYPE_CHECKING

from agents import steps
from agents.engines.base_model import identify_bases
from agents.engines.openai import OpenAISettings
from agents.preview.measure import take_sample
from agents.run import Run
from agents.society import Society
from agents.store import Store
from evaluation.problems.settings import Problems
from evaluation.problems.sources import load_problems
from infra.config.job import Config

if TYPE_CHECKING:
    from tests.agents.openai_server import OpenAIServer


def test_prompts_are_messages_and_no_row_is_in_this_process(server: "OpenAIServer", tmp_path: Path) -> None:
    config = Config.model_validate({"sampling": {"max_new_tokens": 20, "max_summary_tokens": 20}})
    problems = load_problems(Problems(train_size=2, evaluation_size=2), 1).train
    engine, bases = OpenAISettings(url=server.url), identify_bases(["embedded"], False)
    run = Run(steps=steps, bases=bases, engine=engine, store=Store(tmp_path))
    found = take_sample(run, Society.untuned(2), problems=problems, settings=config.settings, iteration=1)
    prompt = found.conversations[0].transcript[0].prompt
    assert prompt.startswith("user:\nSolve the problem") and prompt.endswith(problems[0].question)
    assert found.sample.row_bytes == 0 and found.sample.sampling_speed > 0.0
