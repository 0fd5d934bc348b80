"""The split follows the paper's definitions: on cases worked out by hand, and on random transcripts."""

import random
from collections.abc import Collection, Mapping
from types import MappingProxyType

import pandas as pd
import pytest

from agents.debate.prompts import DEFAULT
from agents.debate.responses import COLUMNS, Said
from agents.society import Agent
from agents.split import Example, mix, own_words
from agents.training.methods import dpo
from evaluation.answers.kinds.math import MATH
from evaluation.problems.problem import Problem

P = [Problem(question=f"What is {n}?", answer=str(n)) for n in range(4)]
GENERATOR, CRITIC = Agent(role="generator", index=0), Agent(role="critic", index=0)


def split(
    agent: Agent, problems: list[Problem], responses: pd.DataFrame, consensus: Mapping[str, str], w: float, seed: int
) -> list[Example]:
    return own_words(agent, problems, Said(responses, DEFAULT, MATH), consensus=consensus, critic_mix=w, seed=seed)


def preferences(
    agent: Agent, problems: list[Problem], responses: pd.DataFrame, consensus: Mapping[str, str]
) -> list[dpo.Pair]:
    return dpo.preferences(agent, problems, Said(responses, DEFAULT, MATH), consensus=consensus)


def transcript(
    answers: dict[tuple[int, int, int], str | None],
    personas: Mapping[int, str] = MappingProxyType({}),
    carried: Collection[tuple[int, int]] = (),
    cut: Collection[tuple[int, int, int]] = (),
) -> pd.DataFrame:
    """Responses from (problem, agent, round) -> answer; each text names its agent. `carried` holds (problem, round)."""
    rows = []
    for (problem, index, round_), answer in answers.items():
        role = "generator" if round_ == 1 else "critic"
        row = {
            "problem_id": P[problem].id,
            "role": role,
            "index": index,
            "round": round_,
            "text": f"agent {index} round {round_} says {answer}",
            "answer": answer,
            "summary": None if round_ == 1 else f"summary for agent {index} round {round_}",
            "persona": personas.get(index),
            "carried": (problem, round_) in carried,
            "finished": (problem, index, round_) not in cut,
        }
        rows.append(row)
    # The split does not read the other columns, so they have usual values.
    rest = {"prompt_tokens": 1, "sampled_tokens": 1, "heard": "1", "fallback": None, "weight": 1.0}
    return pd.DataFrame(rows).assign(**rest)[COLUMNS]


# Two rounds on four problems. Agent 0 is: right twice, first wrong then right, first right then wrong, never right.
TWO_ROUNDS = transcript(
    {
        (0, 0, 1): "7", (0, 0, 2): "7.0", (0, 1, 1): "7", (0, 1, 2): "7",
        (1, 0, 1): "1", (1, 0, 2): "8", (1, 1, 1): "8", (1, 1, 2): "8",
        (2, 0, 1): "9", (2, 0, 2): None, (2, 1, 1): "9", (2, 1, 2): "9",
        (3, 0, 1): "4", (3, 0, 2): "5", (3, 1, 1): "6", (3, 1, 2): "6",
    }
)  # fmt: skip
CONSENSUS = {P[0].id: "7", P[1].id: "8", P[2].id: "9", P[3].id: "6"}


def last_words(examples: list) -> list[str]:
    return [example[-1]["content"] for example in examples]


def test_a_generator_learns_its_first_answers_that_match() -> None:
    examples = split(GENERATOR, P, TWO_ROUNDS, CONSENSUS, 0.5, 0)
    assert last_words(examples) == ["agent 0 round 1 says 7", "agent 0 round 1 says 9"]
    assert [m["role"] for m in examples[0]] == ["user", "assistant"]
    assert examples[0][0] == DEFAULT.first(P[0].question)


def test_a_critic_learns_its_last_turn_in_its_own_conversation() -> None:
    examples = split(CRITIC, P, TWO_ROUNDS, CONSENSUS, 0.5, 0)
    assert sorted(last_words(examples)) == ["agent 0 round 2 says 7.0", "agent 0 round 2 says 8"]
    corrected = next(e for e in examples if e[-1]["content"].endswith("8"))
    assert corrected == [
        DEFAULT.first(P[1].question),
        {"role": "assistant", "content": "agent 0 round 1 says 1"},
        DEFAULT.again(P[1].question, "summary for agent 0 round 2"),
        {"role": "assistant", "content": "agent 0 round 2 says 8"},
    ]


@pytest.mark.parametrize("agent", [GENERATOR, CRITIC])
def test_words_that_match_are_preferred_to_the_same_agents_words_that_do_not(agent: Agent) -> None:
    corrected, spoiled = preferences(agent, P, TWO_ROUNDS, CONSENSUS)  # Problems 0 and 3 give no pair.
    assert corrected.chosen[-1]["content"] == "agent 0 round 2 says 8"
    assert corrected.rejected == "agent 0 round 1 says 1"
    assert (spoiled.chosen[-1]["content"], spoiled.rejected) == ("agent 0 round 1 says 9", "agent 0 round 2 says None")
    asked = [DEFAULT.first(P[1].question)]
    if agent == CRITIC:
        first = {"role": "assistant", "content": "agent 0 round 1 says 1"}
        asked = [*asked, first, DEFAULT.again(P[1].question, "summary for agent 0 round 2")]
    assert corrected.chosen[:-1] == asked
    assert preferences(agent, P, TWO_ROUNDS, {}) == []


@pytest.mark.parametrize("agent", [GENERATOR, CRITIC])
def test_of_many_rounds_a_generator_compares_the_first_and_a_critic_the_last_words(agent: Agent) -> None:
    answers: dict[tuple[int, int, int], str | None] = {(0, 0, m): a for m, a in enumerate("12121", start=1)}
    (pair,) = preferences(agent, P[:1], transcript(answers), {P[0].id: "1"})
    rounds = (pair.chosen[-1]["content"].split()[3], pair.rejected.split()[3])
    assert rounds == (("1", "2") if agent == GENERATOR else ("5", "4"))


@pytest.mark.parametrize(("w", "expected"), [(0.0, ["7.0"]), (1.0, ["8"])])
def test_w_at_its_ends_keeps_one_side(w: float, expected: list[str]) -> None:
    examples = split(CRITIC, P, TWO_ROUNDS, CONSENSUS, w, 0)
    assert [text.split()[-1] for text in last_words(examples)] == expected


def test_no_agent_speaks_another_agents_words() -> None:
    for index in (0, 1):
        for role in ("generator", "critic"):
            for example in split(Agent(role=role, index=index), P, TWO_ROUNDS, CONSENSUS, 0.5, 0):
                own = [m["content"] for m in example if m["role"] == "assistant"]
                assert all(text.startswith(f"agent {index} ") for text in own)


def test_an_agent_learns_as_the_persona_that_it_was() -> None:
    frame = transcript({(0, 0, 1): "1", (0, 0, 2): "7", (0, 1, 1): "7", (0, 1, 2): "7"}, {0: "You are brief."})
    consensus = {P[0].id: "7"}
    (critic,) = split(CRITIC, P, frame, consensus, 0.5, 0)
    assert [m["role"] for m in critic] == ["user", "assistant", "user", "assistant"]
    assert critic[0]["content"] == "You are brief.\n\n" + DEFAULT.first(P[0].question)["content"]
    assert critic[2] == DEFAULT.again(P[0].question, "summary for agent 0 round 2"), "the persona is said once"
    (pair,) = preferences(GENERATOR, P, frame, consensus)
    assert pair.chosen[0] == critic[0]
    (other,) = split(Agent(role="generator", index=1), P, frame, consensus, 0.5, 0)
    assert other[0] == DEFAULT.first(P[0].question)


def test_a_critic_learns_nothing_that_it_did_not_say() -> None:
    # The debate on problem 0 ended after round 1, that on problem 1 after round 2, and that on problem 2 was complete.
    answers: dict[tuple[int, int, int], str | None] = {
        **{(0, 0, m): "7" for m in (1, 2, 3)},
        **{(1, 0, 1): "1", (1, 0, 2): "8", (1, 0, 3): "8"},
        **{(2, 0, 1): "9", (2, 0, 2): "2", (2, 0, 3): "9"},
    }
    frame = transcript(answers, carried=[(0, 2), (0, 3), (1, 3)])
    consensus = {P[0].id: "7", P[1].id: "8", P[2].id: "9"}
    assert last_words(split(GENERATOR, P[:3], frame, consensus, 0.5, 0)) == [
        "agent 0 round 1 says 7",
        "agent 0 round 1 says 9",
    ]
    corrected, held = split(CRITIC, P[:3], frame, consensus, 0.5, 0)
    assert [m["content"] for m in corrected if m["role"] == "assistant"] == [
        "agent 0 round 1 says 1",
        "agent 0 round 2 says 8",
    ]
    assert len(held) == 6 and held[-1]["content"] == "agent 0 round 3 says 9"
    pairs = preferences(CRITIC, P[:3], frame, consensus)
    assert [(pair.chosen[-1]["content"], pair.rejected) for pair in pairs] == [
        ("agent 0 round 2 says 8", "agent 0 round 1 says 1"),
        ("agent 0 round 3 says 9", "agent 0 round 2 says 2"),
    ]


def test_problems_without_consensus_teach_nothing() -> None:
    assert split(GENERATOR, P, TWO_ROUNDS, {}, 0.5, 0) == []
    assert split(CRITIC, P, TWO_ROUNDS, {}, 0.5, 0) == []


def test_one_round_leaves_critics_without_data() -> None:
    first = TWO_ROUNDS[TWO_ROUNDS["round"] == 1]
    assert split(CRITIC, P, first, CONSENSUS, 0.5, 0) == []
    assert len(split(GENERATOR, P, first, CONSENSUS, 0.5, 0)) == 2


@pytest.mark.parametrize("w", [0.1, 0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize(("corrected", "held"), [(10, 200), (200, 10), (40, 40), (3, 500)])
def test_the_mix_has_the_proportions_of_w(w: float, corrected: int, held: int) -> None:
    minus = [[{"role": "assistant", "content": f"-{n}"}] for n in range(corrected)]
    plus = [[{"role": "assistant", "content": f"+{n}"}] for n in range(held)]
    mixed = [example[0]["content"] for example in mix(minus, plus, w, 1)]
    share = sum(text.startswith("-") for text in mixed) / len(mixed)
    assert abs(share - w) <= 1 / len(mixed)
    assert len(set(mixed)) == len(mixed)
    limit = min(corrected / w, held / (1 - w))
    assert len(mixed) == pytest.approx(limit, abs=1.01), "as many examples as the proportion allows"


def test_an_empty_side_does_not_empty_the_mix() -> None:
    some = [[{"role": "assistant", "content": "x"}]]
    assert mix([], some, 0.5, 0) == some
    assert mix(some, [], 0.5, 0) == some
    assert mix([], some, 1.0, 0) == []
    assert mix(some, [], 0.0, 0) == []


def test_random_transcripts_against_the_definitions() -> None:
    rng = random.Random(3)
    for _ in range(50):
        answers = {(p, a, m): rng.choice(["1", "2", None]) for p in range(4) for a in range(3) for m in range(1, 4)}
        frame = transcript(answers)
        consensus = {P[p].id: rng.choice("12") for p in range(4) if rng.random() < 0.8}
        for index in range(3):
            expected = {
                f"agent {index} round 1 says {answers[p, index, 1]}": p
                for p in range(4)
                if P[p].id in consensus and answers[p, index, 1] == consensus[P[p].id]
            }
            examples = split(Agent(role="generator", index=index), P, frame, consensus, 0.5, 0)
            assert [e[0]["content"] for e in examples] == [
                DEFAULT.first(P[p].question)["content"]
                for p in range(4)
                if P[p].id in consensus and answers[p, index, 1] == consensus[P[p].id]
            ]
            assert set(last_words(examples)) == set(expected)
            minus = {
                P[p].question
                for p in range(4)
                if P[p].id in consensus
                and answers[p, index, 1] != consensus[P[p].id]
                and answers[p, index, 3] == consensus[P[p].id]
            }
            critic = split(Agent(role="critic", index=index), P, frame, consensus, 1.0, 0)
            assert {e[0]["content"].split("\n\n")[1] for e in critic} == minus
