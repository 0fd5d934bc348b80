"""Vote: the consensus of a society over the answers of the last round."""

import pandas as pd

from agents.frames import read_problems
from agents.store import Artifact, Store
from evaluation.answers.vote import tally, vote_seed
from evaluation.measures.debates import label_accuracy
from evaluation.record import Record
from infra.home.cache import step
from infra.home.home import current_home


class Consensus(Record):
    """The vote on every problem: a frame with the columns problem_id, answer, votes, tied, kept."""

    votes: Artifact
    kept: int
    dropped: int
    kept_accuracy: float | None
    dropped_accuracy: float | None


VOTING = (
    "evaluation.answers.extract",
    "evaluation.answers.exact",
    "evaluation.answers.symbolic",
    "evaluation.measures.debates",
)


@step(*VOTING, name="{label} · vote")
def vote(problems: Artifact, last_round: Artifact, round_: int, min_votes: int, seed: int, label: str) -> Consensus:
    """The winning answer to every problem; kept as a pseudo-label if at least `min_votes` agents gave it.

    Votes weigh what the responses say.

    The reference answers serve only to measure the labels that were kept and those that were dropped.
    """
    store = Store(current_home().artifacts)
    asked = read_problems(store, problems)
    ballots = dict(list(store.frame(last_round).sort_values("index").groupby("problem_id")))
    rows = []
    for problem in asked:
        own = ballots[problem.id]
        answers = [answer if isinstance(answer, str) else None for answer in own["answer"]]
        result = tally(answers, vote_seed(seed, round_, problem.id), own["weight"].tolist())
        kept = result.answer is not None and result.votes >= min_votes
        rows.append((problem.id, result.answer, result.votes, result.tied, kept))
    frame = pd.DataFrame(rows, columns=["problem_id", "answer", "votes", "tied", "kept"])
    kept_rows, dropped_rows = frame[frame["kept"]], frame[~frame["kept"]]
    return Consensus(
        votes=store.put_frame(frame),
        kept=len(kept_rows),
        dropped=len(dropped_rows),
        kept_accuracy=label_accuracy(asked, _by_id(kept_rows)),
        dropped_accuracy=label_accuracy(asked, _by_id(dropped_rows)),
    )


def _by_id(frame: pd.DataFrame) -> dict[str, str | None]:
    answers = (answer if isinstance(answer, str) else None for answer in frame["answer"])
    return dict(zip(frame["problem_id"], answers, strict=True))
