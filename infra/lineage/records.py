"""What names a job's run and a data set in MLflow."""

import hashlib
import json
from typing import Literal

from pydantic import Field

from evaluation.record import Record

MAX_DIGEST_CHARS = 36  # MLflow's limit for the digest of a dataset; the whole SHA-256 goes into a tag beside it.


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


def identity(*parts: object) -> str:
    """What a run is found by again: 16 characters of the SHA-256 of all that determines its results, as JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
