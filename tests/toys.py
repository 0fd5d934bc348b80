"""A plugin, named by MAFT_PLUGINS=tests.toys, that adds one toy entry of each kind without any other edit."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pandas as pd
from pydantic import ConfigDict, Field

from agents.debate.formats import FORMATS
from agents.debate.prompt_sets import PROMPT_SETS
from agents.debate.prompts import Prompts
from agents.debate.responses import Said
from agents.debate.topology import TOPOLOGIES
from agents.debate.votes import VOTES, Vote
from agents.engines.base_model import Bases
from agents.engines.chat import Message
from agents.engines.protocol import Completion, Engine, OnProgress, Request, Sampling
from agents.engines.registry import ENGINES
from agents.engines.settings import EngineSettings
from agents.records import Responses, Transcript
from agents.run import Run
from agents.runners.settings import Runner
from agents.society import Agent, Society
from agents.split import own_words
from agents.training.methods import METHODS
from agents.training.settings import FinetuneSettings
from evaluation.answers.grader import Grader
from evaluation.benchmark.methods import METHODS as COMPARED
from evaluation.benchmark.methods import Method
from evaluation.problems.problem import Problem


@TOPOLOGIES.add("toy-first")
def first(index: int, indices: Sequence[int], seed: int) -> list[int]:
    """the first agent, which itself reads nobody"""
    return [other for other in indices[:1] if other != index]


class Loud:
    """prose in capitals"""

    def ask(self, prompts: Prompts, question: str, responses: list[str]) -> Message:
        return prompts.summary_of(question, responses)

    def read(self, summary: str, responses: list[str], grader: Grader) -> tuple[str, bool | None]:
        return summary.upper(), None

    def listed(self, prompts: Prompts, responses: list[str], grader: Grader) -> str:
        return prompts.listed(responses).upper()


FORMATS.add("toy-loud")(Loud())


class Eldest(Vote):
    """the first agent's answer alone"""

    def weigh(self, run: Run, society: Society, *, transcript: Transcript) -> Responses:
        last = transcript.rounds[-1]
        frame = run.store.frame(last.responses)
        weighed = frame.assign(weight=(frame["index"] == frame["index"].min()).astype(float))
        return last.model_copy(update={"responses": run.store.put_frame(weighed)})


VOTES.add("toy-eldest")(Eldest())


class Sevens:
    """An engine that answers every request with 7."""

    def complete(self, requests: Sequence[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        on_progress(len(requests), len(requests))
        return [Completion(r"It is \boxed{7}.", 1, 5, True) for _ in requests]


@ENGINES.add("toy-sevens")
class SevensSettings(EngineSettings):
    model_config = ConfigDict(title="toy-sevens")

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset({"patience"})

    name: Literal["toy-sevens"] = Field(default="toy-sevens", title="Engine", description="says 7.")
    patience: int = Field(default=1, ge=1, title="Patience", description="How long it waits for nothing.")

    def open(self, bases: Bases, runner: Runner, adapters: Path) -> Engine:
        return Sevens()


@METHODS.add("toy-nothing")
class Nothing(FinetuneSettings):
    model_config = ConfigDict(title="toy-nothing")

    method: Literal["toy-nothing"] = Field(default="toy-nothing", title="Method", description="an adapter of zeros.")
    zeal: float = Field(default=0.5, ge=0.0, title="Zeal", description="Of no effect.")

    def dataset(
        self,
        agent: Agent,
        problems: Sequence[Problem],
        said: Said,
        *,
        consensus: Mapping[str, str],
        seed: int,
    ) -> pd.DataFrame:
        words = own_words(agent, problems, said, consensus=consensus, critic_mix=self.critic_mix, seed=seed)
        return pd.DataFrame({"messages": [json.dumps(each) for each in words], "zeal": [self.zeal for _ in words]})

    def train(self, model: Any, tokenizer: Any, learners: Sequence[Any], on_progress: OnProgress) -> list[Any]:
        from agents.training.adapters import Trained, add_adapter, weights_of

        made = []
        for place, learner in enumerate(learners):
            assert set(learner.beside["zeal"]) == {self.zeal}
            tuned = add_adapter(model, "default", learner, self)
            made.append(
                Trained(
                    examples=len(learner.examples),
                    skipped=0,
                    tokens=0,
                    first_loss=None,
                    last_loss=None,
                    weights=weights_of(tuned, "default"),
                    config=tuned.peft_config["default"],
                )
            )
            tuned.unload()
            model.eval().requires_grad_(False)
            on_progress(place + 1, len(learners))
        return made


@PROMPT_SETS.add("toy-set")
def curt() -> Prompts:
    """few words"""
    return Prompts(solve="{question} Be curt.")


COMPARED.add("toy-method")(
    Method(
        title="toy",
        about="A debate in which all read the first agent (not in the paper).",
        answers="debate",
        debate={"topology": "toy-first"},
    )
)
