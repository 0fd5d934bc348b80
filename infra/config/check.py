"""Refuses a job that cannot run, before anything is started or written."""

from agents.hosted.section import in_hosted
from evaluation.problems.sources import load_problems
from infra.config.bases import check_bases
from infra.config.job import Config


def check_job(config: Config) -> None:
    """Read the problems, and check the base models and the engine.

    Raises:
        ProblemFileError: a problem cannot be read, or its reference answer does not fit `answers.kind`.
        OverlapError: a question is in both sets of problems.
        TooFewProblemsError: `problems.max_value` is too small for so many generated problems.
        BaseModelError: see `check_bases`.
        EngineError: the settings of the engine or the runner are wrong, or a key is missing.
    """
    load_problems(config.problems, config.seed, grader=config.answers)
    config.runner.check()
    config.engine.check()
    config.finetune.check_key()
    if config.hosted:
        with in_hosted():
            config.hosted.engine.check()
            config.hosted.finetune.check_key()
    check_bases(config, config.bases)
