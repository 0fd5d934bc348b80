"""Kinds of answers: how an answer is found in a response, and when two answers are the same.

Each kind is a file in `evaluation.answers.kinds`, or in a plugin (`evaluation.registry`). Votes, datasets, scores, the
promotion gate, the report and the served model all use the grader of their society:

    @GRADERS.add("yes-no")
    class YesNo(Grader):
        kind: Literal["yes-no"] = Field(default="yes-no", title="Kind", description="yes or no.")

        def extract(self, text: str) -> str | None:
            words = re.findall(r"yes|no", text.lower())
            return words[-1] if words else None

        def equivalent(self, a: str | None, b: str | None) -> bool:
            return a is not None and a == b
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SerializeAsAny

from evaluation.record import Record
from evaluation.registry import Registry


class GraderError(Exception):
    """A user's own grader failed; the message names the class, the method and the text."""


class Grader(Record):
    """How answers are found and compared. A subclass narrows `kind` to its name in GRADERS."""

    kind: str = Field(title="Kind", description="The name of the kind of answers.")

    def extract(self, text: str) -> str | None:
        """The answer in a response; None if it has no answer, or none that is certain.

        Args:
            text: anything that a model may write; the time must be bounded for any text.
        """
        raise NotImplementedError

    def equivalent(self, a: str | None, b: str | None) -> bool:
        """Whether two answers are the same; None is the same as nothing. It must be an equivalence relation."""
        raise NotImplementedError

    def fault(self, reference: str) -> str | None:
        """What is wrong with a reference answer, so that no response could be right; None if nothing is."""
        return None

    def code(self) -> list[Path]:
        """Files or packages of this grader outside of the project, which a served model needs."""
        return []


GRADERS: Registry[type[Grader]] = Registry("kind of answer", package="evaluation.answers.kinds")


def grader_of(given: Any) -> Any:
    """A grader from its fields, such as {"kind": "choice"}; anything but a mapping is returned as it is.

    Raises:
        ValueError: there is no such kind, or a field is wrong.
    """
    return GRADERS[str(given.get("kind", "math"))].model_validate(given) if isinstance(given, Mapping) else given


AnyGrader = Annotated[SerializeAsAny[Grader], BeforeValidator(grader_of)]
"""A field that holds a grader of any kind, also when it is read from JSON."""
