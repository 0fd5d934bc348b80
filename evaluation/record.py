"""The base class of the records that modules pass to each other."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["generator", "critic"]


class Record(BaseModel):
    """A value that modules pass to each other: immutable, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
