"""The config of a job and of an evaluation, read from YAML, the command line (`--set key.path=value`) or Prefect.

The Prefect UI makes its run form from these classes and shows the fields in the order written here: on its first screen
the five that people change, and then sections that come closed.
"""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from agents.algorithm import Settings
from agents.debate.prompt_settings import PromptSettings
from agents.debate.settings import DebateSettings
from agents.engines.base_model import (
    BASE_MODEL,
    BASE_MODELS,
    CHAT_TEMPLATE,
    TRUST_REMOTE_CODE,
    BaseModelName,
    Scalar,
    VariableName,
)
from agents.engines.protocol import Sampling
from agents.engines.registry import ENGINES
from agents.engines.settings import EngineSettings
from agents.engines.transformers import TransformersSettings
from agents.hosted.members import HostedAgents
from agents.runners.local import Local
from agents.runners.registry import RUNNERS
from agents.runners.settings import Runner
from agents.training.methods import METHODS
from agents.training.methods.sft import Sft
from agents.training.settings import FinetuneSettings
from evaluation.answers.grader import GRADERS, Grader
from evaluation.answers.kinds.math import Math
from evaluation.problems.settings import (
    ANSWER_FIELD,
    ARITHMETIC,
    CHOICES_FIELD,
    DUPLICATES,
    QUESTION_FIELD,
    Duplicates,
    Levels,
    Problems,
    Subjects,
)
from evaluation.problems.source import forms
from infra.config.fits import check_engine, check_method, check_vote, check_votes
from infra.config.hosted import Hosted
from infra.config.sections import Kinds, folded, named

SOCIETY = Field(
    default="arith",
    pattern=r"^[a-z0-9][a-z0-9-]{0,40}$",
    title="Society",
    description="Name of the society; its adapters are registered as SOCIETY-generator-0, SOCIETY-critic-0, ...",
)
WHICH = r"^(base|champion|candidate|[1-9][0-9]{0,8})$"
"""The names of a generation of a society; a number is a version of the society's registered model."""


class Promotion(BaseModel):
    """When a new generation becomes the champion, and how many generations are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Promotion")

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset({"keep"})

    level: float = Field(
        default=0.05,
        gt=0.0,
        lt=1.0,
        title="Significance level",
        description="The champion changes when the newest generation wins on the held-out problems at this level "
        "(exact McNemar test, two-sided).",
    )
    keep: int | None = Field(
        default=30,
        ge=1,
        title="Generations to keep",
        description="How many generations keep their files; a night deletes those of older ones, but no records. The "
        "champion, the one before it, and versions with an alias always keep theirs. None: all do.",
    )


CLOSED: dict[str, JsonValue] = {"default": None}
# Fields that several configs have. The run form shows those of the type `Closed...` closed.
ClosedBaseModels = Annotated[list[BaseModelName], folded(list[BaseModelName], list), Field(json_schema_extra=CLOSED)]
ClosedTemplate = Annotated[
    dict[VariableName, Scalar], folded(dict[VariableName, Scalar]), Field(json_schema_extra=CLOSED)
]
NamedProblems = Annotated[Problems, named(Problems, "train")]
PROBLEMS: Any = Field(
    default_factory=Problems,
    title="Problems",
    description=f"Where questions and answers come from: {forms()}. Or, as a section, with their number and more.",
    json_schema_extra={"default": ARITHMETIC},
)
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
    default_factory=Sft,
    title="Finetuning",
    description="How agents learn from their own words. None: the defaults.",
    json_schema_extra=CLOSED,
)
ENGINE: Any = Field(
    default_factory=TransformersSettings,
    title="Engine",
    description="The program that runs the agents' models. None: the defaults.",
    json_schema_extra=CLOSED,
)
RUNNER: Any = Field(
    default_factory=Local,
    title="Runner",
    description="The devices that do the work, the type of their numbers, and how many rows at once. None: the "
    "defaults.",
    json_schema_extra=CLOSED,
)
DEBATE: Any = Field(
    default_factory=DebateSettings,
    title="Debate",
    description="How a debate is held. None: the defaults.",
    json_schema_extra=CLOSED,
)
ANSWERS: Any = Field(
    default_factory=Math,
    title="Answers",
    description="How answers are found in responses and compared. None: the defaults.",
    json_schema_extra=CLOSED,
)
PROMPTS: Any = Field(
    default_factory=PromptSettings,
    title="Prompts",
    description="What the agents are asked. None: the defaults.",
    json_schema_extra=CLOSED,
)


class Config(BaseModel):
    """A job: which society, on which base model, over which problems, for how many iterations."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Config", coerce_numbers_to_str=True)

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
    base_model: str = BASE_MODEL
    problems: NamedProblems = PROBLEMS
    agents: int = AGENTS
    seed: int = Field(default=1, ge=0, lt=2**31, title="Seed", description="Decides every random choice of the run.")
    base_models: ClosedBaseModels = BASE_MODELS
    chat_template: ClosedTemplate = CHAT_TEMPLATE
    debate: Annotated[DebateSettings, folded(DebateSettings)] = DEBATE
    prompts: Annotated[PromptSettings, folded(PromptSettings)] = PROMPTS
    answers: Annotated[Grader, Kinds(GRADERS, tag="kind", default="math")] = ANSWERS
    sampling: Annotated[Sampling, folded(Sampling)] = SAMPLING
    finetune: Annotated[FinetuneSettings, Kinds(METHODS, tag="method", default="sft")] = FINETUNE
    promotion: Annotated[Promotion, folded(Promotion)] = Field(
        default_factory=Promotion,
        title="Promotion",
        description="When a new generation becomes the champion, and how many are kept. None: the defaults.",
        json_schema_extra=CLOSED,
    )
    engine: Annotated[EngineSettings, Kinds(ENGINES, tag="name", default="transformers")] = ENGINE
    runner: Annotated[Runner, Kinds(RUNNERS, tag="name", default="local")] = RUNNER
    hosted: Hosted | None = Field(
        default=None,
        title="Hosted agents",
        description="Agents that speak and learn at a service, and the others here. None: all have the same engine.",
    )
    trust_remote_code: bool = TRUST_REMOTE_CODE

    @model_validator(mode="after")
    def _within_reach(self) -> "Config":
        check_votes(self.finetune, self.agents)
        check_method(self.engine, self.finetune)
        check_engine(
            self.engine,
            vote=self.debate.vote,
            base_models=self.base_models,
            agents=self.agents,
            dtype=self.runner.dtype,
        )
        if self.base_models and self.base_model != BASE_MODEL.default:
            raise ValueError(f"base_model is {self.base_model!r}, but base_models is set too; leave one of them out")
        if self.hosted:
            self.hosted.check(self.agents, self.finetune.min_votes)
            check_method(self.hosted.engine, self.hosted.finetune, "hosted.")
            check_vote(self.hosted.engine, self.debate.vote, "hosted.")
            if self.finetune.asks_service:
                raise ValueError(
                    f"finetune.method is {self.finetune.method}, by which agents that are not in hosted would learn at "
                    "a service too; set it to sft or dpo, or leave hosted out"
                )
        return self

    @property
    def bases(self) -> list[str]:
        """The names of the agents' base models; of k base models, agent n has the one at index n modulo k."""
        names = self.base_models or [self.base_model]
        if not self.hosted or (len(names) == 1 and not self.hosted.base_model):
            return names
        each = [names[index % len(names)] for index in range(self.agents)]
        for index in self.hosted.agents:
            each[index] = self.hosted.base_model or each[index]
        return each

    @property
    def service(self) -> EngineSettings:
        """The engine of the agents at a service; the engine of all agents if there is no other."""
        return self.hosted.engine if self.hosted else self.engine

    @property
    def hosted_agents(self) -> HostedAgents | None:
        """The agents at a service, if others are here."""
        if not self.hosted:
            return None
        return HostedAgents(agents=tuple(self.hosted.agents), engine=self.hosted.engine, finetune=self.hosted.finetune)

    @property
    def in_words(self) -> str:
        """The length of the job and its start, such as 2 iterations from base."""
        return f"{self.iterations} iteration{'s' if self.iterations > 1 else ''} from {self.start_from}"

    @property
    def settings(self) -> Settings:
        """The settings that Algorithm 1 reads."""
        return Settings(seed=self.seed, debate=self.debate, sampling=self.sampling, finetune=self.finetune)


class Measurement(BaseModel):
    """An evaluation: which generation, on which problems."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Measurement", coerce_numbers_to_str=True)

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
        description=f"{forms()}.",
    )
    size: int = Field(
        default=300,
        ge=1,
        title="Number of problems",
        description="The problems are drawn with the seed. If this is unset, a shorter file gives all its problems; if "
        "it is set, the file must have that many.",
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
    seed: int = Field(
        default=1, ge=0, lt=2**31, title="Seed", description="Decides the draw of problems and every sampled response."
    )
    question_field: str = QUESTION_FIELD
    answer_field: str = ANSWER_FIELD
    choices_field: str | None = CHOICES_FIELD
    duplicates: Duplicates = DUPLICATES
    engine: Annotated[EngineSettings, Kinds(ENGINES, tag="name", default="transformers")] = ENGINE
    runner: Annotated[Runner, Kinds(RUNNERS, tag="name", default="local")] = RUNNER

    @property
    def held_out(self) -> Problems:
        """The problems to measure on, in the form that a job's config has them."""
        sizes = {"evaluation_size": self.size} if "size" in self.model_fields_set else {}
        return Problems(
            evaluation=self.problems,
            max_value=self.max_value,
            levels=self.levels,
            subjects=self.subjects,
            question_field=self.question_field,
            answer_field=self.answer_field,
            choices_field=self.choices_field,
            duplicates=self.duplicates,
            **sizes,
        )
