"""Prepare: read or generate the problems of a job, and store them."""

from prefect import task

from agents.algorithm import StoredProblems
from agents.frames import problems_frame
from agents.store import Artifact
from evaluation.answers.grader import Grader
from evaluation.problems.settings import Problems, Transfer
from evaluation.problems.sources import load_held_out, load_problems, load_transfer
from infra.home.store import current_store


@task(task_run_name="prepare problems, portion {draw}")
def prepare(problems: Problems, *, grader: Grader, seed: int, draw: int) -> StoredProblems:
    """Read or generate the training problems and the held-out problems, and store them.

    Not cached: the files may have changed, and stored problems are named by digest.

    Args:
        problems: the config.
        grader: checks the reference answers.
        seed: orders the problems.
        draw: the portion of the problems, so that a job that goes on from generation k gets problems that were not used
            before.

    Raises:
        ProblemFileError: a problem cannot be read, or its reference answer is of another kind.
    """
    sets = load_problems(problems, seed, draw, grader=grader)
    store = current_store()
    return StoredProblems(
        train=store.put_frame(problems_frame(sets.train)),
        evaluation=store.put_frame(problems_frame(sets.evaluation)),
    )


@task(task_run_name="renew training problems, portion {draw}")
def renew(problems: StoredProblems, config: Problems, *, grader: Grader, seed: int, draw: int) -> StoredProblems:
    """Another portion of training problems with the same held-out problems; no portion has held-out problems in it."""
    new = load_problems(config, seed, draw, grader=grader).train
    train = current_store().put_frame(problems_frame(new))
    return problems.model_copy(update={"train": train})


@task(task_run_name="prepare held-out problems")
def prepare_held_out(problems: Problems, *, grader: Grader, seed: int) -> Artifact:
    """The problems that a generation is measured on when nothing is learned."""
    held_out = load_held_out(problems, seed, grader=grader)
    return current_store().put_frame(problems_frame(held_out))


@task(task_run_name="prepare problems of another kind")
def prepare_transfer(transfer: Transfer, problems: Problems, *, grader: Grader, seed: int) -> Artifact:
    """Held-out problems of another kind than those of `problems`."""
    elsewhere = load_transfer(transfer, problems, seed, grader=grader)
    return current_store().put_frame(problems_frame(elsewhere))
