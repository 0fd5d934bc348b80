"""What identifies a base model, and the config fields that name base models."""

from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, Strict

from evaluation.record import Record

BaseModelName = Annotated[str, Field(min_length=1)]
BASE_MODEL: Any = Field(
    default="embedded",
    min_length=1,
    title="Base model",
    description="embedded, a local folder, or a hub id such as org/name; org/name@REVISION is a branch, tag or commit.",
)
BASE_MODELS: Any = Field(
    default=[],
    title="Different base models",
    description="Base models to use instead of base_model. The generators take them in turn, and so do the critics, "
    "starting again from the first if there are fewer models than agents. Empty: all agents use base_model.",
)
Scalar = bool | int | FiniteFloat | Annotated[str, Strict()] | None
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
CHAT_TEMPLATE: Any = Field(
    default={},
    title="Chat template",
    description="Variables that the base model's chat template reads, such as {enable_thinking: false}; each is a "
    "text, a number, true, false or null. They hold wherever the template is used.",
)
DType = Literal["auto", "float32", "bfloat16", "nf4"]
TRUST_REMOTE_CODE = Field(
    default=False, title="Trust remote code", description="Whether a base model may run its own code."
)


class BaseModelError(ValueError):
    """The configured base model cannot be used; the message says why, and what to set instead."""


class FilesError(ValueError):
    """The files of a model are missing or wrong; the message is read after the model's name."""


class Base(Record):
    """A base model: its name, its digest, and how it is used."""

    name: str
    sha256: str
    trust_remote_code: bool = False
    commit: str | None = None
    """The commit of a model on a hub; None for a folder, and for a model that an earlier version of maft named."""
    dtype: DType = "auto"
    """The type of its numbers; auto: float32 on a CPU, the checkpoint's own type on CUDA; nf4: see `nf4`."""
    chat_template: tuple[tuple[str, Scalar], ...] = ()
    """Names and values of variables of its chat template."""

    @property
    def source(self) -> str:
        """The name under which exactly this model is found, also after a newer commit appears on the hub."""
        return f"{self.name.partition('@')[0]}@{self.commit}" if self.commit else self.name


class Bases(Record):
    """The base models of a society, given to its agents in turn: agent n has `each[n % len(each)]`."""

    each: tuple[Base, ...] = Field(min_length=1)

    def of(self, index: int) -> Base:
        """The base of the generator and the critic with this index."""
        return self.each[index % len(self.each)]

    def trusting(self, trust_remote_code: bool) -> "Bases":
        """The same bases, which may run their own code or not."""
        return Bases(each=tuple(base.model_copy(update={"trust_remote_code": trust_remote_code}) for base in self.each))

    @property
    def name(self) -> str:
        """The names of the bases, one per line."""
        return "\n".join(base.name for base in self.each)

    @property
    def sha256(self) -> str:
        """The digests of the bases, one per line."""
        return "\n".join(base.sha256 for base in self.each)
