"""Step 3 of Algorithm 1: the consensus y^, a majority vote over the answers of the last round."""

import pandas as pd

from agents.frames import read_problems
from agents.records import Consensus, Transcript
from agents.run import Run
from evaluation.answers.vote import tally, vote_seed
from evaluation.frames import text_or_none
from evaluation.measures.debates import label_accuracy


def vote(run: Run, transcript: Transcript, *, min_votes: int) -> Consensus:
    """The winning answer to every problem; kept as a pseudo-label if enough agents gave it.

    Each answer counts with the weight of its response, see `agents.debate.votes`. The reference answers are used only
    to measure the accuracy of the kept and of the dropped labels.

    Args:
        run: the store.
        transcript: the whole debate.
        min_votes: number of agents that must agree for a label to be kept.
    """
    asked = read_problems(run.store, transcript.problems)
    last = run.store.frame(transcript.responses[-1])
    ballots = dict(list(last.sort_values("index").groupby("problem_id")))
    rows = []
    for problem in asked:
        own = ballots[problem.id]
        answers = [text_or_none(answer) for answer in own["answer"]]
        seed = vote_seed(transcript.stream.seed, len(transcript.rounds), problem.id)
        result = tally(answers, seed, own["weight"].tolist(), grader=run.answers)
        kept = result.answer is not None and result.votes >= min_votes
        rows.append((problem.id, result.answer, result.votes, result.tied, kept))
    frame = pd.DataFrame(rows, columns=["problem_id", "answer", "votes", "tied", "kept"])
    kept_rows, dropped_rows = frame[frame["kept"]], frame[~frame["kept"]]
    return Consensus(
        votes=run.store.put_frame(frame),
        kept=len(kept_rows),
        dropped=len(dropped_rows),
        kept_accuracy=label_accuracy(asked, _by_id(kept_rows), grader=run.answers),
        dropped_accuracy=label_accuracy(asked, _by_id(dropped_rows), grader=run.answers),
    )


def _by_id(frame: pd.DataFrame) -> dict[str, str | None]:
    return dict(zip(frame["problem_id"], map(text_or_none, frame["answer"]), strict=True))
