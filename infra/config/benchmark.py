"""The config tree of a benchmark: a job's config with methods and several seeds, without promotion and `start_from`."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents.debate.prompt_settings import PromptSettings
from agents.debate.settings import DebateSettings
from agents.debate.votes import VOTES
from agents.engines.base_model import (
    BASE_MODEL,
    BASE_MODELS,
    CHAT_TEMPLATE,
    TRUST_REMOTE_CODE,
)
from agents.engines.protocol import Sampling
from agents.engines.registry import ENGINES
from agents.engines.settings import EngineSettings
from agents.judging.embedding import MINILM
from agents.runners.registry import RUNNERS
from agents.runners.settings import Runner
from agents.training.methods import METHODS as TRAINING
from agents.training.settings import FinetuneSettings
from evaluation.answers.grader import GRADERS, Grader
from evaluation.benchmark.methods import METHODS, REFERENCE, Method, MethodName
from evaluation.problems.settings import Transfer
from infra.config.fits import check_engine, check_method, check_votes
from infra.config.job import (
    AGENTS,
    ANSWERS,
    DEBATE,
    ENGINE,
    FINETUNE,
    PROBLEMS,
    PROMPTS,
    RUNNER,
    SAMPLING,
    SOCIETY,
    ClosedBaseModels,
    ClosedTemplate,
    Config,
    NamedProblems,
)
from infra.config.sections import Kinds, folded

Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Benchmark(BaseModel):
    """A benchmark: which methods, under which seeds, for how many iterations, over which problems."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Benchmark", coerce_numbers_to_str=True)

    society: str = SOCIETY
    methods: list[MethodName] = Field(
        default=[name for name in METHODS.names() if not METHODS[name].mixed],
        min_length=1,
        title="Methods",
        description="The methods to compare. Default: all of them; mixed-bases only if base_models is set.",
    )
    seeds: list[Seed] = Field(
        default=[1, 2, 3],
        min_length=1,
        max_length=100,
        title="Seeds",
        description="The benchmark is repeated with each seed, which decides every random choice, problems included.",
    )
    iterations: int = Field(
        default=5, ge=1, le=100, title="Iterations", description="L, the number of finetuning iterations (paper: 5)."
    )
    base_model: str = BASE_MODEL
    problems: NamedProblems = PROBLEMS
    transfer: Transfer | None = Field(
        default=None,
        title="Transfer",
        description="Problems of another kind, on which every method is also measured after its last iteration. None: "
        "no such measurement.",
    )
    agents: int = AGENTS
    base_models: ClosedBaseModels = BASE_MODELS
    chat_template: ClosedTemplate = CHAT_TEMPLATE
    debate: Annotated[DebateSettings, folded(DebateSettings)] = DEBATE
    prompts: Annotated[PromptSettings, folded(PromptSettings)] = PROMPTS
    answers: Annotated[Grader, Kinds(GRADERS, tag="kind", default="math")] = ANSWERS
    encoder: str | None = Field(
        default=MINILM,
        min_length=1,
        title="Sentence encoder",
        description="The model that measures the dissimilarity of the agents' responses: all-minilm-l6-v2, which "
        "comes with maft, a folder, or a hub id. None: not measured.",
    )
    sampling: Annotated[Sampling, folded(Sampling)] = SAMPLING
    finetune: Annotated[FinetuneSettings, Kinds(TRAINING, tag="method", default="sft")] = FINETUNE
    engine: Annotated[EngineSettings, Kinds(ENGINES, tag="name", default="transformers")] = ENGINE
    runner: Annotated[Runner, Kinds(RUNNERS, tag="name", default="local")] = RUNNER
    trust_remote_code: bool = TRUST_REMOTE_CODE

    @model_validator(mode="before")
    @classmethod
    def _all_that_can_be_compared(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("base_models"):
            return {"methods": list(METHODS.names()), **given}
        return given

    @model_validator(mode="after")
    def _can_be_compared(self) -> "Benchmark":
        check_votes(self.finetune, self.agents)
        check_method(self.engine, self.finetune)
        mixed = [name for name in self.methods if METHODS[name].mixed]
        base_models = self.base_models if mixed else []
        check_engine(
            self.engine,
            vote=self.debate.vote,
            base_models=base_models,
            agents=self.agents,
            dtype=self.runner.dtype,
        )
        sure = [name for name in self.methods if VOTES[self._debate(METHODS[name]).vote].reads_likelihoods]
        if sure and not self.engine.reads_likelihoods:
            raise ValueError(
                f"methods has {sure[0]}, which needs the likelihoods of a local model, but engine.name is "
                f"{self.engine.name}; leave {sure[0]} out of methods, or set engine.name to transformers"
            )
        for name in ("methods", "seeds"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} names {max(values, key=values.count)} more than once")
        if self.transfer:
            self.transfer.refuse_problems_of(self.problems)
        if mixed and not self.base_models:
            raise ValueError(
                f"methods has {mixed[0]}, but base_models is empty; name the base models of its agents there, or leave "
                f"{mixed[0]} out of methods"
            )
        matched = [name for name in self.methods if METHODS[name].matched]
        if matched and REFERENCE not in self.methods:
            raise ValueError(
                f"methods has {matched[0]}, which takes as many tokens as {REFERENCE}; add {REFERENCE} to methods"
            )
        return self

    @property
    def sets_of_bases(self) -> list[list[str]]:
        """The base models of all methods but those of different base models, and then of these if there are any."""
        return [[self.base_model], *([self.base_models] if self.base_models else [])]

    def job(self, method: Method, seed: int) -> Config:
        """The config of the job that runs one method under one seed."""
        fields = Config.model_fields.keys() & type(self).model_fields.keys()
        shared = {name: getattr(self, name) for name in fields - {"base_model" if method.mixed else "base_models"}}
        return Config(
            **{**shared, "debate": self._debate(method), "agents": method.agents or self.agents, "seed": seed}
        )

    def _debate(self, method: Method) -> DebateSettings:
        """The benchmark's settings of the debate, with the changes that the method makes."""
        return DebateSettings(**{**self.debate.model_dump(), **method.debate})
