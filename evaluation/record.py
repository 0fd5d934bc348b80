"""What crosses a border between modules: immutable records, strict about their fields."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["generator", "critic"]


class Record(BaseModel):
    """A value that crosses a border: immutable, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
