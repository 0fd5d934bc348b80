"""One dataset of several agents' examples, for methods in which a model learns from more than its own words."""

from collections.abc import Sequence

import pandas as pd

from agents.records import Dataset
from agents.run import Run


def pool(run: Run, datasets: Sequence[Dataset]) -> Dataset:
    """The examples of several agents as one dataset, in the order of the agents."""
    frames = [run.store.frame(dataset.examples) for dataset in datasets]
    return Dataset(
        examples=run.store.put_frame(pd.concat(frames, ignore_index=True)),
        agreeing=sum(dataset.agreeing for dataset in datasets),
        cut=sum(dataset.cut for dataset in datasets),
    )
