"""Records that identify a job's run and a data set in MLflow."""

import hashlib
import json
from typing import Any, Literal

from pydantic import Field

from evaluation.record import Record

MAX_DIGEST_CHARS = 36  # MLflow's limit for the digest of a data set; the full SHA-256 is also stored, as a tag.


IDENTITY_CHARS = 16


def identity(*parts: Any) -> str:
    """The id by which a job is found again: the same parts give the same 16 hexadecimal digits in any process.

    Args:
        parts: everything that determines the job's results, as JSON values; the order of an object's keys does not
            matter.

    Raises:
        TypeError: a part is not a JSON value.
    """
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:IDENTITY_CHARS]


class JobRun(Record):
    """A job's run in MLflow, the parent of the runs of its generations."""

    society: str
    job: str = Field(description="Digest of everything that determines the job's results.")
    tracking_uri: str = Field(description="Address of the run's MLflow server; a job has a run on each server.")
    experiment_id: str
    run_id: str
    first_generation: int = Field(
        default=1, description="The first generation that the job makes; earlier ones are only measured."
    )


class DatasetRef(Record):
    """A data set that a run read, identified by its content."""

    name: str = Field(min_length=1, max_length=500, description="train, evaluation, or the name of an agent.")
    sha256: str = Field(min_length=1, description="Digest of the content.")
    rows: int = Field(ge=0)
    source: str = Field(min_length=1, description="Origin of the data, such as arithmetic or a hub id. Not a path.")
    context: Literal["training", "evaluation"] = "training"
    columns: tuple[str, ...] = Field(default=("id", "question", "answer"), description="Its columns, all of text.")

    @property
    def digest(self) -> str:
        """The start of the SHA-256, as long as MLflow allows for a digest."""
        return self.sha256[:MAX_DIGEST_CHARS]
