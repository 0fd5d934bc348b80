"""The corpus is right where it means to be, wrong where it means to be, and repeats; the trainer learns and repeats."""

import itertools
import random
import re

import pytest
import torch

from agents.pretraining.corpus import Mixture, conversations
from agents.pretraining.solutions import STYLES, Writer, write
from agents.pretraining.train import STAGES, Stage, begin, run_stage
from evaluation.answers import extract_answer
from evaluation.problems.arithmetic import draw_values, reserved, result

CHAIN = re.compile(r"[-(]*\d+(?:[-+*=]+[-(]*\d+\)?)+")


def equal_chains(text: str) -> bool:
    """Whether every a=b=c in a text holds."""
    for chain in CHAIN.findall(text):
        parts = [part for part in chain.split("=") if part]
        assert all(re.fullmatch(r"[-+*()\d]+", part) for part in parts)
        if len({eval(part) for part in parts}) > 1:
            return False
    return True


@pytest.mark.parametrize("style", STYLES)
def test_solutions_without_slip_are_right_in_every_step(style: str) -> None:
    rng = random.Random(1)
    for _ in range(500):
        values = draw_values(rng, 30)
        solution = write(values, style, Writer(rng), slip=False)
        assert solution.answer == result(values)
        assert extract_answer(solution.text) == str(solution.answer)
        assert equal_chains(solution.text), solution.text


@pytest.mark.parametrize("style", STYLES)
def test_slips_mislead_and_each_style_in_its_own_way(style: str) -> None:
    rng = random.Random(2)
    wrong = dict.fromkeys(STYLES, 0)
    for _ in range(300):
        values = draw_values(rng, 30)
        answers = {name: write(values, name, Writer(rng), slip=True).answer for name in STYLES}
        wrong[style] += answers[style] != result(values)
    assert wrong[style] > 250


def test_corruption_is_seen_by_the_writer() -> None:
    rng = random.Random(3)
    outcomes = set()
    for _ in range(200):
        values, writer = draw_values(rng, 30), Writer(rng, corruption=0.05)
        solution = write(values, "steps", writer, slip=False)
        outcomes.add((writer.corrupted, solution.answer == result(values)))
        assert writer.corrupted or solution.answer == result(values)
    assert {(True, False), (False, True)} <= outcomes


def test_the_same_seed_gives_the_same_data_and_no_reserved_question() -> None:
    mixture = STAGES[-1].mixture
    one, two, other = (list(itertools.islice(conversations(seed, mixture), 400)) for seed in (5, 5, 6))
    assert one == two != other
    asked = [line for turns in one for line in turns[0].content.splitlines() if line.startswith("What is the result")]
    assert len(asked) > 200
    assert not [question for question in asked if "*" in question and "+" in question and reserved(question)]


def test_only_whole_turns_of_the_assistant_are_learned() -> None:
    for turns in itertools.islice(conversations(1, Mixture()), 300):
        assert turns[-1].role == "assistant" and turns[-1].learn
        assert not any(turn.learn for turn in turns if turn.role != "assistant")


def test_a_stage_learns_and_repeats() -> None:
    stage = Stage(name="short", tokens=30_000, batch_tokens=1024)
    states, losses = [], []
    for _ in range(2):
        model, tokenizer = begin(seed=0)
        run_stage(model, tokenizer, stage, 0, lambda state: losses.append(state.loss))
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert losses[-1] < 5.5, "an untrained model has ln 512 = 6.2"
