"""Problems and responses as frames in the store."""

from collections.abc import Sequence

import pandas as pd

from agents.store import Artifact, Store
from evaluation.problems.problem import Problem


def problems_frame(problems: Sequence[Problem]) -> pd.DataFrame:
    """Problems as a frame with the columns id, question, answer."""
    return pd.DataFrame([(p.id, p.question, p.answer) for p in problems], columns=["id", "question", "answer"])


def read_problems(store: Store, artifact: Artifact) -> list[Problem]:
    """The problems of a stored frame, in the order of its rows."""
    frame = store.frame(artifact)
    return [Problem(question=q, answer=a) for q, a in zip(frame["question"], frame["answer"], strict=True)]


def read_responses(store: Store, artifacts: Sequence[Artifact]) -> pd.DataFrame:
    """The responses of several rounds as one frame with the columns of `agents.debate.responses.COLUMNS`."""
    return pd.concat([store.frame(artifact) for artifact in artifacts], ignore_index=True)
