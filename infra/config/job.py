"""The one config tree, the same from YAML, the command line (`--set key.path=value`) and Prefect parameters.

The run form of the Prefect UI is drawn from it: fields in the order written here, the ones that people change first.
"""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from agents.debate.settings import (
    MESSAGES,
    PERSONAS,
    ROUNDS,
    STOP_ON_CONSENSUS,
    SUMMARIZE,
    TOPOLOGY,
    VOTE,
    MessageFormat,
    Persona,
    Rules,
    Topology,
    Vote,
)
from agents.engines.base_model import BASE_MODEL, BASE_MODELS, TRUST_REMOTE_CODE, BaseModelName, check_several
from agents.engines.protocol import Sampling
from agents.engines.settings import EngineSettings
from agents.training.settings import Finetune
from evaluation.problems.settings import ARITHMETIC, Levels, Problems, Subjects

SOCIETY = Field(
    default="arith",
    pattern=r"^[a-z0-9][a-z0-9-]{0,40}$",
    title="Society",
    description="Name of the society; its adapters are registered as SOCIETY-generator-0, SOCIETY-critic-0, ...",
)
WHICH = r"^(base|champion|candidate|[1-9][0-9]{0,8})$"
"""How a generation of a society is referred to: the number is a version of the society's registered model."""


class Runner(BaseModel):
    """Where and in what portions the work is done. Nothing here changes a result."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Runner")

    device: str = Field(
        default="auto", title="Device", description="auto (CUDA where there is one), cpu, cuda or cuda:N."
    )
    batch_rows: int = Field(
        default=200, ge=1, le=65_536, title="Prompts per batch", description="Prompts decoded at once."
    )


class Promotion(BaseModel):
    """When a new generation becomes the champion."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Promotion")

    level: float = Field(
        default=0.05,
        gt=0.0,
        lt=1.0,
        title="Significance level",
        description="The champion changes when the newest generation wins on the held-out problems at this level "
        "(exact McNemar test, two-sided).",
    )


def folded(model: type[BaseModel]) -> BeforeValidator:
    """Lets a section be None, which means its defaults: the run form then shows it closed."""
    return BeforeValidator(lambda value: {} if value is None else value, json_schema_input_type=model | None)


CLOSED: dict[str, JsonValue] = {"default": None}
IMMATERIAL: dict[str, Any] = {"runner": True, "engine": EngineSettings.IMMATERIAL}
"""What changes no result, for pydantic's `exclude`."""

# Fields of several trees.
PROBLEMS: Any = Field(default_factory=Problems, title="Problems", description="Where questions and answers come from.")
AGENTS = Field(
    default=3, ge=1, le=64, title="Agents", description="N generation agents and N critic agents (paper: 3)."
)
SAMPLING: Any = Field(
    default_factory=Sampling,
    title="Sampling",
    description="How responses are sampled. None: the defaults.",
    json_schema_extra=CLOSED,
)
FINETUNE: Any = Field(
    default_factory=Finetune,
    title="Finetuning",
    description="How agents learn from their own words. None: the defaults.",
    json_schema_extra=CLOSED,
)
ENGINE: Any = Field(
    default_factory=EngineSettings,
    title="Engine",
    description="What the agents speak through. None: the defaults.",
    json_schema_extra=CLOSED,
)
RUNNER: Any = Field(
    default_factory=Runner,
    title="Runner",
    description="Where and in what portions the work is done. None: the defaults.",
    json_schema_extra=CLOSED,
)


def check_votes(finetune: Finetune, agents: int, vote: Vote, engine: EngineSettings) -> None:
    """Refuse to ask for more votes than there are, or for weights that the engine cannot give.

    Raises:
        ValueError: naming both fields.
    """
    if vote == "confidence" and engine.name != "transformers":
        raise ValueError(
            f"vote is confidence, which is read off the local model, but engine.name is {engine.name}; "
            "set vote to majority, or engine.name to transformers"
        )
    if finetune.min_votes > agents:
        raise ValueError(
            f"finetune.min_votes is {finetune.min_votes}, but only agents={agents} vote; "
            "set finetune.min_votes to at most the number of agents"
        )


class Config(BaseModel):
    """A job: which society, on which base model, over which problems, for how many iterations."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Config", coerce_numbers_to_str=True)
    IMMATERIAL: ClassVar[dict[str, Any]] = IMMATERIAL

    society: str = SOCIETY
    start_from: str = Field(
        default="base",
        pattern=WHICH,
        title="Start from",
        description="base (the untuned model), champion, candidate (the newest generation), or a version number of "
        "the society's registered model.",
    )
    iterations: int = Field(
        default=2, ge=1, le=100, title="Iterations", description="L, the number of finetuning iterations."
    )
    seed: int = Field(default=1, ge=0, lt=2**31, title="Seed", description="Root of every random choice of the run.")
    base_model: str = BASE_MODEL
    base_models: list[BaseModelName] = BASE_MODELS
    problems: Problems = PROBLEMS
    agents: int = AGENTS
    rounds: int = ROUNDS
    summarize: bool = SUMMARIZE
    topology: Topology = TOPOLOGY
    personas: list[Persona] = PERSONAS
    stop_on_consensus: bool = STOP_ON_CONSENSUS
    messages: MessageFormat = MESSAGES
    vote: Vote = VOTE
    sampling: Annotated[Sampling, folded(Sampling)] = SAMPLING
    finetune: Annotated[Finetune, folded(Finetune)] = FINETUNE
    promotion: Annotated[Promotion, folded(Promotion)] = Field(
        default_factory=Promotion,
        title="Promotion",
        description="When a new generation becomes the champion. None: the defaults.",
        json_schema_extra=CLOSED,
    )
    engine: Annotated[EngineSettings, folded(EngineSettings)] = ENGINE
    runner: Annotated[Runner, folded(Runner)] = RUNNER
    trust_remote_code: bool = TRUST_REMOTE_CODE

    @model_validator(mode="after")
    def _within_reach(self) -> "Config":
        check_votes(self.finetune, self.agents, self.vote, self.engine)
        check_several(self.base_models, self.agents, self.engine)
        if self.base_models and self.base_model != BASE_MODEL.default:
            raise ValueError(f"base_model is {self.base_model!r}, but base_models is set too; leave one of them out")
        return self

    @property
    def bases(self) -> list[str]:
        """What its agents are of: agent n of the one at n modulo their number."""
        return self.base_models or [self.base_model]

    @property
    def rules(self) -> Rules:
        """How its debates are held."""
        return Rules(**{name: getattr(self, name) for name in Rules.model_fields})


class Measurement(BaseModel):
    """An evaluation: which generation, on which problems."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Measurement", coerce_numbers_to_str=True)
    IMMATERIAL: ClassVar[dict[str, Any]] = IMMATERIAL

    society: str = SOCIETY
    generation: str = Field(
        default="champion",
        pattern=WHICH,
        title="Generation",
        description="base (the untuned model), champion, candidate (the newest generation), or a version number of "
        "the society's registered model.",
    )
    problems: str = Field(
        default=ARITHMETIC,
        min_length=1,
        title="Problems",
        description="arithmetic, for generated problems, the path of a .jsonl, .csv or .parquet file, or a data set as "
        "hub:DATASET:SPLIT or hub:DATASET:SUBSET:SPLIT.",
    )
    size: int = Field(
        default=300,
        ge=1,
        title="Number of problems",
        description="Drawn with the seed. Left unset, a file that has fewer gives all; set, it must have that many.",
    )
    max_value: int = Field(
        default=30,
        ge=2,
        le=999,
        title="Largest value",
        description="Generated arithmetic draws its six values from 1 to this (paper: 30). Files do not use it.",
    )
    levels: Levels = None
    subjects: Subjects = None
    seed: int = Field(default=1, ge=0, lt=2**31, title="Seed", description="Of the problems and of every sample.")
    question_field: str = Field(
        default="question",
        min_length=1,
        title="Question field",
        description="Field or column of the file that holds the question.",
    )
    answer_field: str = Field(
        default="answer",
        min_length=1,
        title="Answer field",
        description="Field or column with the reference answer.",
    )
    engine: Annotated[EngineSettings, folded(EngineSettings)] = ENGINE
    runner: Annotated[Runner, folded(Runner)] = RUNNER

    @property
    def held_out(self) -> Problems:
        """The same as a config's problems, all of them held out."""
        sizes = {"evaluation_size": self.size} if "size" in self.model_fields_set else {}
        return Problems(
            evaluation=self.problems,
            max_value=self.max_value,
            levels=self.levels,
            subjects=self.subjects,
            question_field=self.question_field,
            answer_field=self.answer_field,
            **sizes,
        )
