"""What names a job, its run and a data set in MLflow."""

import hashlib
import json
from typing import Any, Literal

from pydantic import Field

from evaluation.record import Record

MAX_DIGEST_CHARS = 36  # MLflow's limit for the digest of a dataset; the whole SHA-256 goes into a tag beside it.


IDENTITY_CHARS = 16


def identity(*parts: Any) -> str:
    """What a job is found again by: the same parts give the same 16 hexadecimal digits, in any process.

    Args:
        parts: all that determines the job's results, as JSON values; the order of an object's keys does not matter.

    Raises:
        TypeError: a part is no JSON value.
    """
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:IDENTITY_CHARS]


class JobRun(Record):
    """A job's parent run."""

    society: str
    job: str = Field(description="Digest of everything that determines the job's results.")
    tracking_uri: str = Field(description="Of the MLflow server; another one is given the lineage too.")
    experiment_id: str
    run_id: str
    first_generation: int = Field(default=1, description="The first that the job makes; others it only measures.")


class DatasetRef(Record):
    """A data set by its content, for the record of what a run read."""

    name: str = Field(min_length=1, max_length=500, description="train, evaluation, or the name of an agent.")
    sha256: str = Field(min_length=1, description="Digest of the content.")
    rows: int = Field(ge=0)
    source: str = Field(min_length=1, description="Where it comes from, such as arithmetic or a hub id. Not a path.")
    context: Literal["training", "evaluation"] = "training"

    @property
    def digest(self) -> str:
        """The part of the SHA-256 that fits into MLflow's digest."""
        return self.sha256[:MAX_DIGEST_CHARS]
