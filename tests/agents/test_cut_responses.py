"""Responses that were cut at the token limit are not learned, and are counted."""

from pathlib import Path

import pandas as pd
import pytest

from agents import steps
from agents.benchmark.pool import pool
from agents.debate.prompts import DEFAULT
from agents.debate.responses import Said
from agents.engines.base_model import Base, Bases
from agents.engines.transformers import TransformersSettings
from agents.frames import problems_frame
from agents.records import Consensus, Responses, Stream, Transcript
from agents.run import Run
from agents.society import Agent
from agents.split import agreeing
from agents.store import Store
from agents.training.methods.dpo import Dpo
from agents.training.methods.sft import Sft
from agents.training.settings import FinetuneSettings
from evaluation.answers.kinds.math import MATH
from tests.agents.test_split import CONSENSUS, CRITIC, GENERATOR, TWO_ROUNDS, P, preferences, split, transcript


def test_a_response_that_was_cut_is_not_learned() -> None:
    answers: dict[tuple[int, int, int], str | None] = {(p, 0, m): "7" for p in (0, 1, 2) for m in (1, 2)}
    consensus = {P[p].id: "7" for p in (0, 1, 2)}
    frame = transcript(answers, cut=[(0, 0, 1), (1, 0, 2), (2, 0, 1), (2, 0, 2)])
    assert [e[0] for e in split(GENERATOR, P[:3], frame, consensus, 0.5, 0)] == [DEFAULT.first(P[1].question)]
    (held,) = split(CRITIC, P[:3], frame, consensus, 0.5, 0)
    assert held[0] == DEFAULT.first(P[0].question) and held[1]["content"].endswith("round 1 says 7"), "cut, but context"
    said = Said(frame, DEFAULT, MATH)
    assert [len(agreeing(agent, P[:3], said, consensus=consensus)) for agent in (GENERATOR, CRITIC)] == [3, 3]


@pytest.mark.parametrize("agent", [GENERATOR, CRITIC])
def test_a_response_that_was_cut_is_never_preferred_but_may_be_rejected(agent: Agent) -> None:
    answers: dict[tuple[int, int, int], str | None] = {(0, 0, m): a for m, a in enumerate("12112", start=1)}
    frame = transcript(answers, cut=[(0, 0, 1), (0, 0, 4), (0, 0, 2), (0, 0, 5)])
    (pair,) = preferences(agent, P[:1], frame, {P[0].id: "1"})
    rejected = "2" if agent == GENERATOR else "5"
    assert (pair.chosen[-1]["content"].split()[3], pair.rejected.split()[3]) == ("3", rejected)
    all_cut = transcript(answers, cut=[(0, 0, m) for m in range(1, 6)])
    assert preferences(agent, P[:1], all_cut, {P[0].id: "1"}) == []


@pytest.mark.parametrize("settings", [Sft(), Dpo()])
@pytest.mark.parametrize(("agent", "agree", "cut"), [(GENERATOR, 2, 1), (CRITIC, 2, 0)])
def test_the_dataset_counts_what_was_left_out(
    settings: FinetuneSettings, agent: Agent, agree: int, cut: int, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    run = Run(
        steps=steps, bases=Bases(each=(Base(name="none", sha256="0"),)), engine=TransformersSettings(), store=store
    )
    rounds = [
        Responses(responses=store.put_frame(own), sampled_tokens=1, seconds=0.0)
        for _, own in TWO_ROUNDS.assign(finished=TWO_ROUNDS.index != 0).groupby("round")
    ]
    votes = pd.DataFrame([(p.id, CONSENSUS[p.id], True) for p in P], columns=["problem_id", "answer", "kept"])
    consensus = Consensus(votes=store.put_frame(votes), kept=4, dropped=0, kept_accuracy=None, dropped_accuracy=None)
    transcript = Transcript(
        problems=store.put_frame(problems_frame(P)),
        stream=Stream(seed=1, purpose="train", iteration=1),
        rounds=tuple(rounds),
    )
    dataset = steps.split(run, agent, transcript=transcript, consensus=consensus, settings=settings)
    assert (dataset.agreeing, dataset.cut) == (agree, cut)
    both = pool(run, [dataset, dataset])
    assert (both.agreeing, both.cut, both.examples.rows) == (2 * agree, 2 * cut, 2 * dataset.examples.rows)
