"""Runs Algorithm 1 as a notebook would: a society of the embedded model, one iteration, no server.

    python docs/examples/algorithm1.py

It prints generations 0 and 1. `maft run` gives the same numbers with the same settings:

    maft run --set iterations=1 --set problems.train_size=40 --set problems.evaluation_size=40
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the project, from any working directory

from agents import steps
from agents.algorithm import StoredProblems, assess, iterate
from agents.engines.base_model import identify_bases
from agents.engines.transformers import TransformersSettings
from agents.frames import problems_frame
from agents.run import Run
from agents.society import Society
from agents.store import Store
from evaluation.problems.settings import Problems
from evaluation.problems.sources import load_problems
from evaluation.reporting.tables import generations_table
from evaluation.scores import GenerationScores
from infra.config.job import Config


def main(config: Config, folder: Path) -> list[GenerationScores]:
    """The scores of generation 0, and of generation 1, which is made from it."""
    store, settings = Store(folder), config.settings
    sets = load_problems(config.problems, config.seed, grader=config.answers)
    problems = StoredProblems(
        train=store.put_frame(problems_frame(sets.train)), evaluation=store.put_frame(problems_frame(sets.evaluation))
    )
    bases = identify_bases(config.bases, config.trust_remote_code)
    run = Run(
        steps=steps,
        bases=bases,
        engine=TransformersSettings(),
        store=store,
        prompts=config.prompts.texts,
        answers=config.answers,
    )

    society = Society.untuned(config.agents)
    untuned = steps.evaluate(run, assess(run, society, x=problems.evaluation, settings=settings))
    generation = iterate(run, society, problems=problems, settings=settings, generation=1)
    return [untuned, generation.scores]


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        small = Config(problems=Problems(train_size=40, evaluation_size=40), iterations=1)
        Console().print(generations_table(main(small, Path(temporary)), small.society))
