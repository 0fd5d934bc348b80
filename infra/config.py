"""The one config tree, the same from YAML, the command line (`--set key.path=value`) and Prefect parameters."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents.engines.protocol import Sampling
from agents.training.sft import Finetune
from evaluation.problems.sources import Problems


class Runner(BaseModel):
    """Where and in what portions the work is done. Nothing here changes a result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str = Field(default="auto", description="auto (CUDA where there is one), cpu, cuda or cuda:N.")
    batch_rows: int = Field(default=200, ge=1, le=65_536, description="Prompts decoded at once.")


class Config(BaseModel):
    """A job: which society, on which base model, over which problems, for how many iterations."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    society: str = Field(
        default="arith",
        pattern=r"^[a-z0-9][a-z0-9-]{0,40}$",
        description="Name of the society; its adapters are registered as SOCIETY-generator-0, SOCIETY-critic-0, ...",
    )
    seed: int = Field(default=1, ge=0, lt=2**31, description="Root of every random choice of the run.")
    base_model: str = Field(
        default="embedded", min_length=1, description="embedded, a local folder, or a hub id such as org/name."
    )
    trust_remote_code: bool = Field(default=False, description="Let a hub model run code of its own. Off unless set.")
    iterations: int = Field(default=2, ge=1, le=100, description="L, the number of finetuning iterations.")
    agents: int = Field(default=3, ge=1, le=64, description="N generation agents and N critic agents (paper: 3).")
    rounds: int = Field(default=2, ge=1, le=16, description="M, rounds of debate; round 1 is generation (paper: 2).")
    summarize: bool = Field(
        default=True, description="Critics read a summary of the others, written by the base; else their very words."
    )
    problems: Problems = Field(default_factory=Problems, description="Where questions and answers come from.")
    sampling: Sampling = Field(default_factory=Sampling, description="How responses are sampled.")
    finetune: Finetune = Field(default_factory=Finetune, description="How agents learn from their own words.")
    runner: Runner = Field(default_factory=Runner, description="Where and in what portions the work is done.")

    @model_validator(mode="after")
    def _votes_within_reach(self) -> "Config":
        if self.finetune.min_votes > self.agents:
            raise ValueError(
                f"finetune.min_votes is {self.finetune.min_votes}, but only agents={self.agents} vote; "
                "set finetune.min_votes to at most the number of agents"
            )
        return self
