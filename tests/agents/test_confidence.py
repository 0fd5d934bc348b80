"""The weights of answers equal those of plain PEFT on one response at a time, and they decide the vote."""

import itertools
import math
from typing import ClassVar

import pandas as pd
import pytest
import torch
from peft import PeftModel

from agents.debate.prompts import DEFAULT
from agents.debate.responses import COLUMNS, Said
from agents.debate.settings import DebateSettings as Rules
from agents.engines import base_model
from agents.engines.protocol import Completion, EngineError, OnProgress, Request, Sampling
from agents.engines.transformers.engine import TransformersEngine
from agents.records import Stream
from agents.society import Agent, Society
from evaluation.answers.kinds.math import MATH
from evaluation.answers.vote import tally, vote_seed
from evaluation.problems.arithmetic import arithmetic_problems
from tests.agents.engine_samples import save_adapters
from tests.agents.rounds import Given, answer, confidence, debate, generate

pytestmark = pytest.mark.slow

PROBLEMS = list(itertools.islice(arithmetic_problems(4), 4))
SAMPLING = Sampling(max_new_tokens=90, max_summary_tokens=60)
STREAM = Stream(seed=1, purpose="evaluate", iteration=0)
SOCIETY = Society(
    generation=0,
    generators=[Agent(role="generator", index=0, adapter="one"), Agent(role="generator", index=1)],
    critics=[Agent(role="critic", index=0, adapter="two"), Agent(role="critic", index=1, adapter="one")],
)
PERSONAS = ["You add.", "You check."]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = tmp_path_factory.mktemp("adapters")
    save_adapters(folder, ["one", "two"])
    return TransformersEngine(*base_model.load("embedded", "cpu"), adapters=folder)


@pytest.fixture(scope="module")
def said(engine: TransformersEngine) -> pd.DataFrame:
    """Responses of two rounds; the debate on the first problem ended after one."""
    first = generate(engine, SOCIETY.generators, PROBLEMS, SAMPLING, STREAM, PERSONAS)
    first.loc[first["problem_id"] == PROBLEMS[0].id, "answer"] = "7"
    rules = Rules(stop_on_consensus=True)
    second = debate(engine, SOCIETY.critics, PROBLEMS, first, rules, SAMPLING, STREAM)
    assert second["carried"].sum() == 2
    return pd.concat([first, second], ignore_index=True)


def by_hand(engine: TransformersEngine, agent: Agent, messages: list, finished: bool) -> float:
    model, tokenizer = base_model.load("embedded", "cpu")
    speaker = PeftModel.from_pretrained(model, engine.adapters / agent.adapter) if agent.adapter else model
    prompt = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    whole = prompt + messages[-1]["content"] + (tokenizer.eos_token if finished else "")
    ids = tokenizer(whole, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        probabilities = speaker(input_ids=ids).logits[0, start - 1 : -1].double().softmax(dim=1)
    logs = [math.log(probabilities[t, token]) for t, token in enumerate(ids[0, start:])]
    return math.exp(sum(logs) / len(logs))


def test_the_weight_is_the_geometric_mean_of_the_probabilities(engine: TransformersEngine, said: pd.DataFrame) -> None:
    last = confidence(engine, SOCIETY, PROBLEMS, said.sample(frac=1.0, random_state=1))
    assert list(last.columns) == COLUMNS and set(last["round"]) == {2} and len(last) == 8
    told, asked = Said(said, DEFAULT, MATH), {problem.id: problem for problem in PROBLEMS}
    for row in last.itertuples():
        speaker = (SOCIETY.generators if row.carried else SOCIETY.critics)[row.index]
        messages = told.conversation(asked[row.problem_id], row.index, 2)
        assert messages[-1]["content"] == row.text and messages[0]["content"].startswith(PERSONAS[row.index])
        assert row.weight == pytest.approx(by_hand(engine, speaker, messages, row.finished), rel=1e-4)
        assert 0.0 < row.weight < 1.0
    before = said[said["round"] == 2].set_index(["problem_id", "index"]).drop(columns="weight")
    after = last.set_index(["problem_id", "index"]).drop(columns="weight")
    pd.testing.assert_frame_equal(after.sort_index(), before.sort_index())


def test_the_society_answers_by_the_weights(engine: TransformersEngine) -> None:
    questions = [problem.question for problem in PROBLEMS]
    plain = answer(engine, SOCIETY, questions, Rules(), SAMPLING, 1)
    sure = answer(engine, SOCIETY, questions, Rules(vote="confidence"), SAMPLING, 1)
    first = generate(engine, SOCIETY.generators, PROBLEMS, SAMPLING, STREAM)
    second = debate(engine, SOCIETY.critics, PROBLEMS, first, Rules(), SAMPLING, STREAM)
    last = confidence(engine, SOCIETY, PROBLEMS, pd.concat([first, second], ignore_index=True))
    for problem, one, other in zip(PROBLEMS, plain, sure, strict=True):
        assert one.transcript == other.transcript, "the vote does not change the responses"
        own = last[last["problem_id"] == problem.id]
        given = [a if isinstance(a, str) else None for a in own["answer"]]
        assert other.answer == tally(given, vote_seed(1, 2, problem.id), own["weight"].tolist()).answer
        if len({*given} - {None}) == 2:
            assert other.answer == given[int(own["weight"].argmax())], "of two answers, the one with the larger weight"


class Elsewhere:
    """An engine whose model is on another machine."""

    def complete(self, requests: list[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        return [Completion(r"\boxed{1}", 1, 1, True) for _ in requests]


class Distant(Given):
    """Settings of an engine whose model is on another machine."""

    reads_likelihoods: ClassVar[bool] = False


def test_another_engine_is_refused() -> None:
    distant = Distant(engine=Elsewhere())
    with pytest.raises(EngineError, match=r"debate\.vote is confidence, which engine\.name given cannot compute"):
        answer(Elsewhere(), SOCIETY, ["What is 1?"], Rules(rounds=1, vote="confidence"), SAMPLING, 0, distant)
