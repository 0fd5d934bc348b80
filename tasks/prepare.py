"""Prepare: the problems of a run, once and for all its iterations."""

from prefect import task

from evaluation.problems.sources import Problems, load_problems
from evaluation.scores import Record
from infra.frames import problems_frame
from infra.home import current_home
from infra.store import Artifact, Store


class PreparedProblems(Record):
    """Problems to finetune on and held-out problems; the two never overlap."""

    train: Artifact
    evaluation: Artifact


@task(task_run_name="prepare problems")
def prepare(problems: Problems, seed: int) -> PreparedProblems:
    """Read or generate the problems. Not cached: the files may have changed, and what is stored is named by digest."""
    sets = load_problems(problems, seed)
    store = Store(current_home().artifacts)
    return PreparedProblems(
        train=store.put_frame(problems_frame(sets.train)),
        evaluation=store.put_frame(problems_frame(sets.evaluation)),
    )
