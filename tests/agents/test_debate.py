"""The messages that each agent reads in a debate, checked on the requests to a real engine."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from agents.debate.messages import message_of
from agents.debate.prompts import DEFAULT as PROMPTS
from agents.debate.responses import COLUMNS, Said
from agents.debate.settings import DebateSettings as Rules
from agents.engines import base_model
from agents.engines.protocol import Completion, OnProgress, Request, Sampling
from agents.engines.transformers.engine import TransformersEngine
from agents.records import Stream
from agents.society import Society
from evaluation.answers.extract import extract_answer
from evaluation.answers.kinds.math import MATH
from evaluation.problems.arithmetic import arithmetic_problems
from tests.agents.rounds import Listening, debate, generate

SAMPLING = Sampling(max_new_tokens=40, max_summary_tokens=30)
STREAM = Stream(seed=1, purpose="train", iteration=1)
PROBLEMS = list(itertools.islice(arithmetic_problems(2), 3))
SOCIETY = Society.untuned(3)
DEFAULT, VERY_WORDS = Rules(), Rules(summarize=False)


@pytest.fixture
def engine() -> Listening:
    return Listening(TransformersEngine(*base_model.load("embedded", "cpu"), adapters=Path("none")))


def first_round(engine: Listening) -> pd.DataFrame:
    return generate(engine, SOCIETY.generators, PROBLEMS, SAMPLING, STREAM)


def next_round(engine: Listening, earlier: pd.DataFrame, round_: int, rules: Rules = DEFAULT) -> pd.DataFrame:
    new = debate(engine, SOCIETY.critics, PROBLEMS, earlier, rules, SAMPLING, STREAM)
    return pd.concat([earlier, new], ignore_index=True)


def text(frame: pd.DataFrame, problem: int, index: int, round_: int, column: str = "text") -> str:
    own = frame[(frame["problem_id"] == PROBLEMS[problem].id) & (frame["index"] == index) & (frame["round"] == round_)]
    (value,) = own[column]
    return value


def test_round_one_asks_the_bare_question(engine: Listening) -> None:
    frame = first_round(engine)
    assert list(frame.columns) == COLUMNS
    (asked,) = engine.heard
    assert [r.messages for r in asked] == [[PROMPTS.first(p.question)] for p in PROBLEMS] * 3
    assert len(frame) == 9 and set(frame["role"]) == {"generator"}
    assert list(frame["answer"].isna()) == [extract_answer(t) is None for t in frame["text"]]


def test_the_summary_is_of_the_others_and_written_by_the_base(engine: Listening) -> None:
    first = first_round(engine)
    engine.heard.clear()
    second = next_round(engine, first, 2)
    asked, answered = engine.heard
    for index in range(3):
        others = [i for i in range(3) if i != index]
        for place, problem in enumerate(PROBLEMS):
            words = [text(first, place, i, 1) for i in others]
            assert asked[3 * index + place].messages == [PROMPTS.summary_of(problem.question, words)]
            assert asked[3 * index + place].adapter is None
            summary = text(second, place, index, 2, "summary")
            assert answered[3 * index + place].messages == [
                PROMPTS.first(problem.question),
                {"role": "assistant", "content": text(first, place, index, 1)},
                PROMPTS.again(problem.question, summary),
            ]


def test_round_three_reads_round_two_only_and_remembers_its_own_turns(engine: Listening) -> None:
    second = next_round(engine, first_round(engine), 2)
    engine.heard.clear()
    third = next_round(engine, second, 3, VERY_WORDS)
    for index in range(3):
        others = [i for i in range(3) if i != index]
        for place, problem in enumerate(PROBLEMS):
            words = PROMPTS.listed([text(second, place, i, 2) for i in others])
            conversation = engine.heard[0][3 * index + place].messages
            assert conversation[-1] == PROMPTS.again(problem.question, words)
            assert [m["role"] for m in conversation] == ["user", "assistant", "user", "assistant", "user"]
            assert conversation[3]["content"] == text(second, place, index, 2)
            assert text(third, place, index, 3, "summary") == words


@pytest.mark.parametrize("topology", ["ring", "sparse"])
def test_a_critic_reads_those_that_the_topology_says(engine: Listening, topology: str) -> None:
    first = first_round(engine)
    for summarize in (True, False):
        engine.heard.clear()
        second = next_round(engine, first, 2, Rules(topology=topology, summarize=summarize))
        read = set()
        for index in range(3):
            for place, problem in enumerate(PROBLEMS):
                (other,) = map(int, text(second, place, index, 2, "heard").split())
                assert other == (index - 1) % 3 or (topology == "sparse" and other != index)
                read.add((index, other))
                words = [text(first, place, other, 1)]
                if summarize:
                    assert engine.heard[0][3 * index + place].messages == [PROMPTS.summary_of(problem.question, words)]
                else:
                    assert text(second, place, index, 2, "summary") == PROMPTS.listed(words)
        assert len(read) == 3 if topology == "ring" else len(read) > 3, "each problem and agent has its own draw"


def test_a_topology_changes_nothing_but_what_is_read(engine: Listening) -> None:
    first = first_round(engine)
    engine.heard.clear()
    all_, ring = (next_round(engine, first, 2, Rules(topology=topology)) for topology in ("all-to-all", "ring"))
    assert [text(all_, 0, index, 2, "heard") for index in range(3)] == ["1 2", "0 2", "0 1"]
    seeds = [[request.seed for request in heard] for heard in engine.heard]
    assert seeds[:2] == seeds[2:], "random choices are the same, so that methods differ only in their own settings"
    assert all_["summary"].tolist() != ring["summary"].tolist()


def test_every_agent_is_its_persona_in_all_rounds(engine: Listening) -> None:
    personas = ["You add.", "You check."]
    society = Society.untuned(3)
    first = generate(engine, society.generators, PROBLEMS, SAMPLING, STREAM, personas)
    third = next_round(engine, next_round(engine, first, 2), 3)
    given = {0: "You add.", 1: "You check.", 2: "You add."}
    for requests, rounds in zip([engine.heard[0], engine.heard[2], engine.heard[4]], (1, 2, 3), strict=True):
        for place, request in enumerate(requests):
            index, problem = divmod(place, len(PROBLEMS))
            asked = [message["content"] for message in request.messages if message["role"] == "user"]
            assert len(asked) == rounds
            assert asked[0] == f"{given[index]}\n\n{PROMPTS.first(PROBLEMS[problem].question)['content']}"
            assert not any("You add." in text or "You check." in text for text in asked[1:])
    assert third["persona"].tolist() == [given[index] for index in third["index"]]
    for requests in (engine.heard[1], engine.heard[3]):
        assert not any("You " in request.messages[0]["content"] for request in requests), "the base has no persona"


def answered(frame: pd.DataFrame, problem: int, *answers: str | None) -> pd.DataFrame:
    """The frame with the answers of all agents to one problem replaced."""
    frame = frame.copy()
    frame.loc[frame["problem_id"] == PROBLEMS[problem].id, "answer"] = answers
    return frame


def test_what_all_agree_on_is_not_debated_again(engine: Listening) -> None:
    first = answered(answered(first_round(engine), 0, "7", "7.0", "14/2"), 1, "7", "7", None)
    first = answered(first, 2, "1", "2", "3")
    stop = Rules(rounds=4, stop_on_consensus=True)
    engine.heard.clear()
    second = next_round(engine, first, 2, stop)
    assert [len(heard) for heard in engine.heard] == [6, 6], "summaries and answers of two problems"
    assert not any(PROBLEMS[0].question in r.messages[0]["content"] for heard in engine.heard for r in heard)
    here = second[second["round"] == 2]
    assert len(here) == 9 and set(here["role"]) == {"critic"} and list(second.columns) == COLUMNS
    carried = here[here["carried"]]
    assert set(carried["problem_id"]) == {PROBLEMS[0].id} and carried["index"].tolist() == [0, 1, 2]
    assert carried["answer"].tolist() == ["7", "7.0", "14/2"]
    assert carried["text"].tolist() == [text(first, 0, index, 1) for index in range(3)]
    assert carried["sampled_tokens"].sum() == carried["prompt_tokens"].sum() == 0

    plain = next_round(engine, first, 2)
    going = ["problem_id", "index", "round", "text", "answer", "summary", "sampled_tokens"]
    two = [frame[frame["problem_id"] != PROBLEMS[0].id][going].reset_index(drop=True) for frame in (second, plain)]
    pd.testing.assert_frame_equal(*two)

    # The other debates also reach consensus in round 2, so no agent is asked in round 3.
    ended = second.copy()
    ended.loc[ended["round"] == 2, "answer"] = "7"
    engine.heard.clear()
    third = next_round(engine, ended, 3, stop)
    assert engine.heard == [] and third["carried"].sum() == 3 + 9
    said = Said(third, PROMPTS, MATH)
    assert [said.rounds(problem, 0) for problem in PROBLEMS] == [1, 2, 2]
    assert [len(said.conversation(problem, 0, 3)) for problem in PROBLEMS] == [2, 4, 4]


def test_what_the_base_cannot_say_as_json_is_built_from_the_responses(engine: Listening) -> None:
    first = first_round(engine)
    engine.heard.clear()
    second = next_round(engine, first, 2, Rules(messages="json"))
    asked, answered = engine.heard
    for index in range(3):
        others = [i for i in range(3) if i != index]
        for place, problem in enumerate(PROBLEMS):
            words = [text(first, place, i, 1) for i in others]
            assert asked[3 * index + place].messages == [PROMPTS.json_summary_of(problem.question, words)]
            message = message_of(words, MATH).model_dump_json()
            assert text(second, place, index, 2, "summary") == message
            assert answered[3 * index + place].messages[-1] == PROMPTS.again(problem.question, message)
    here = second[second["round"] == 2]
    assert here["fallback"].tolist() == [True] * 9, "the embedded model knows no JSON"
    assert second[second["round"] == 1]["fallback"].isna().all()
    third = next_round(engine, second, 3, Rules(messages="json", summarize=False))
    unasked = third[third["round"] == 3]
    assert unasked["fallback"].isna().all() and json.loads(unasked["summary"].iloc[0])["agents"][1]["steps"]


class Json(Listening):
    """The real engine, except that about half of the summaries are JSON."""

    def complete(self, requests: Sequence[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        if "as JSON" not in requests[0].messages[0]["content"]:
            return super().complete(requests, sampling, on_progress)
        written = ['{"agents": [{"answer": "7", "steps": []}, {"steps": ["so"], "answer": null}]}', "Agent 1: 7"]
        return [Completion(written[place % 2], 5, 3, True) for place in range(len(requests))]


def test_valid_json_reaches_the_critic_and_the_rest_is_counted(engine: Listening) -> None:
    society = Json(engine.engine)
    second = next_round(society, first_round(society), 2, Rules(messages="json"))
    here = second[second["round"] == 2]
    assert here["fallback"].tolist() == [False, True] * 4 + [False]
    assert set(here[~here["fallback"].astype(bool)]["summary"]) == {
        '{"agents":[{"answer":"7","steps":[]},{"answer":null,"steps":["so"]}]}'
    }
    assert not here["summary"].str.startswith("Agent 1").any()
    assert (here["sampled_tokens"] > 3).all(), "tokens of an invalid summary count too"


def test_every_sample_has_a_seed_of_its_own(engine: Listening) -> None:
    next_round(engine, next_round(engine, first_round(engine), 2), 3)
    seeds = [request.seed for heard in engine.heard for request in heard]
    assert len(seeds) == 3 * 3 * 5
    assert len(set(seeds)) == len(seeds)


def test_streams_differ_by_seed_purpose_and_iteration() -> None:
    agent, problem = SOCIETY.generators[0], PROBLEMS[0]
    streams = [Stream(seed=s, purpose=p, iteration=i) for s in (1, 2) for p in ("train", "evaluate") for i in (1, 2)]
    assert len({stream.seed_of(1, agent, problem) for stream in streams}) == len(streams)
