"""Refuses a job that cannot run, before anything is started or written."""

from agents.debate.system_role import check_system_role
from agents.engines import base_model
from evaluation.problems.problem import check_references
from evaluation.problems.sources import load_problems
from infra.config.job import Config


def check_job(config: Config) -> None:
    """Read the problems, and check the base models and the engine.

    Raises:
        ProblemFileError: a problem cannot be read, or its reference answer does not fit `answers.kind`.
        OverlapError: a question is in both sets of problems.
        TooFewProblemsError: `problems.max_value` is too small for so many generated problems.
        BaseModelError: a base model cannot be used, or not with a system prompt.
        EngineError: the engine's settings are wrong.
    """
    problems = load_problems(config.problems, config.seed)
    check_references([*problems.train, *problems.evaluation], config.answers)
    base_model.check_all(config.bases)
    check_system_role(config.prompts.texts, config.bases, config.trust_remote_code)
    config.engine.check()
