"""The config of a run's problems."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from evaluation.problems.published import DEFAULT
from evaluation.problems.source import GeneratedSource, forms, source_of

ARITHMETIC = "arithmetic"
"""The default source of problems."""
SIZES = ("train_size", "evaluation_size")


Levels = Annotated[
    list[Annotated[int, Field(ge=0, le=999)]] | None,
    Field(
        min_length=1,
        title="Levels",
        description="Levels of difficulty to draw from, such as [1, 2, 3] of MATH (paper); none for all.",
    ),
]
Subjects = Annotated[
    list[Annotated[str, Field(min_length=1)]] | None,
    Field(
        min_length=1,
        title="Subjects",
        description="Subjects to draw from, such as [algebra, geometry] of MATH; none for all.",
    ),
]


MAX_VALUE = Field(
    default=30,
    ge=2,
    le=999,
    title="Largest value",
    description="Generated arithmetic draws its six values from 1 to this (paper: 30). Files do not use it.",
)
QUESTION_FIELD = Field(
    default=DEFAULT.question,
    min_length=1,
    title="Question field",
    description="Field or column of the files that holds the question. Several are joined with +, such as "
    "Body+Question. With the default, the fields of published forms are found (SVAMP, ARC and others).",
)
ANSWER_FIELD = Field(
    default=DEFAULT.answer,
    min_length=1,
    title="Answer field",
    description="Field or column with the reference answer: the answer itself, a solution that ends in "
    "#### ANSWER, or one with \\boxed{ANSWER}.",
)
CHOICES_FIELD = Field(
    default=DEFAULT.choices,
    min_length=1,
    title="Choices field",
    description="Field or column with the choices of multiple choice, or the columns of the single choices, joined "
    "with +. None: the choices are looked for in choices, options and columns such as A, B or option_a.",
)
Duplicates = Literal["refuse", "drop"]
DUPLICATES: Any = Field(
    default="refuse",
    title="Repeated questions",
    description="refuse: a file in which a question is repeated is refused. drop: the first of each is kept; if the "
    "answers differ, none is kept. Of a data set, the first is kept in any case.",
)


class Problems(BaseModel):
    """Where questions and answers come from."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Problems")

    train: str = Field(
        default=ARITHMETIC,
        min_length=1,
        title="Training problems",
        description=f"{forms()}.",
    )
    evaluation: str | None = Field(
        default=None,
        min_length=1,
        title="Held-out problems",
        description="Source of the problems that a society is measured on; none for other problems of the training "
        "source. A question that is also in the training file is refused; one that is also in a training data set is "
        "not trained on.",
    )
    train_size: int = Field(
        default=300,
        ge=1,
        title="Number of training problems",
        description="Drawn with the seed. If unset, a file with fewer problems gives all of them (half, if it is used "
        "for evaluation too). If set, the file must have that many.",
    )
    evaluation_size: int = Field(
        default=300,
        ge=1,
        title="Number of held-out problems",
        description="As train_size, for the held-out problems.",
    )
    renew: bool = Field(
        default=False,
        title="New problems in every iteration",
        description="Whether every iteration trains on new problems, until a file is used up. If not, all iterations "
        "train on the same problems (paper).",
    )
    max_value: int = MAX_VALUE
    levels: Levels = None
    subjects: Subjects = None
    question_field: str = QUESTION_FIELD
    answer_field: str = ANSWER_FIELD
    choices_field: str | None = CHOICES_FIELD
    duplicates: Duplicates = DUPLICATES

    @model_serializer(mode="wrap")
    def _leave_unset_sizes_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out sizes that nobody set, so that they do not look set when they are read back from JSON."""
        dumped = handler(self)
        return {key: value for key, value in dumped.items() if key not in SIZES or key in self.model_fields_set}


class Transfer(BaseModel):
    """Held-out problems of another kind than the training problems."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Transfer")

    source: str = Field(
        default=ARITHMETIC,
        min_length=1,
        title="Source",
        description=f"{forms()}. A question that is also a training question is refused, or left out if a data set has "
        "it. If training is on arithmetic too, every question has a value above problems.max_value.",
    )
    size: int = Field(
        default=300,
        ge=1,
        title="Number of problems",
        description="Drawn with the seed. If unset, a smaller file gives all of them. If set, it must have that many.",
    )
    max_value: int = MAX_VALUE
    levels: Levels = None
    subjects: Subjects = None
    question_field: str = QUESTION_FIELD
    answer_field: str = ANSWER_FIELD
    choices_field: str | None = CHOICES_FIELD
    duplicates: Duplicates = DUPLICATES

    @property
    def in_words(self) -> str:
        """The source in words, such as arithmetic with values up to 40."""
        values = f" with values up to {self.max_value}" if isinstance(source_of(self.source), GeneratedSource) else ""
        return f"{self.source}{values}"

    def refuse_problems_of(self, problems: Problems) -> None:
        """Refuse transfer problems of the same kind as the training problems.

        Raises:
            ValueError: both are of the same kind; the message names both fields.
        """
        if self.source != problems.train:
            return
        if not isinstance(source_of(self.source), GeneratedSource):
            raise ValueError(f"transfer.source is {self.source}, and so is problems.train; name another source")
        if self.max_value <= problems.max_value:
            raise ValueError(
                f"transfer.max_value is {self.max_value}, but training problems have values up to "
                f"problems.max_value={problems.max_value}; set transfer.max_value to more"
            )

    @model_serializer(mode="wrap")
    def _leave_unset_size_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a size that nobody set, as `Problems` does."""
        dumped = handler(self)
        return {key: value for key, value in dumped.items() if key != "size" or key in self.model_fields_set}
