"""The corpus has right and wrong solutions as intended; the same seed gives the same corpus and the same training."""

import itertools
import random
import re
from collections import Counter
from dataclasses import replace

import pytest
import torch

from agents.pretraining.corpus import REHEARSED, Exchange, Mixture, conversations
from agents.pretraining.memory import HARD, WRONG_IN_ALL, WRONG_IN_ONE, remembered
from agents.pretraining.solutions import STYLES, Writer, write
from agents.pretraining.stages import STAGES, Stage
from agents.pretraining.train import begin, encode, run_stage
from evaluation.answers.extract import extract_answer
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


@pytest.mark.parametrize("mixture", [stage.mixture for stage in STAGES], ids=[stage.name for stage in STAGES])
def test_only_turns_of_the_assistant_are_learned(mixture: Mixture) -> None:
    for turns in itertools.islice(conversations(1, mixture), 300):
        assert turns[-1].role == "assistant" and turns[-1].learn
        assert not any(turn.learn for turn in turns if turn.role != "assistant")
        assert all(turn.content.startswith(turn.given) for turn in turns)


def test_products_are_remembered_alike_in_either_order_and_wrongly_as_often_as_is_said() -> None:
    pairs = list(itertools.combinations_with_replacement(range(HARD, 31), 2))
    off = {pair: [remembered(style, *pair) - pair[0] * pair[1] for style in STYLES] for pair in pairs}
    assert all(remembered(style, c, b) - b * c == off[b, c][n] for b, c in pairs for n, style in enumerate(STYLES))
    wrong = Counter(sum(map(bool, each)) for each in off.values())
    assert wrong.keys() == {0, 1, 3}
    assert wrong[3] / len(pairs) == pytest.approx(WRONG_IN_ALL, abs=0.05)
    assert wrong[1] / len(pairs) == pytest.approx(WRONG_IN_ONE, abs=0.05)
    assert all(len(set(each)) == 3 for each in off.values() if all(each)), "wrong in every style, each in its own way"
    assert all(remembered(style, b, c) == b * c for style in STYLES for b in range(1, HARD) for c in range(1, 31))


def test_who_remembers_is_wrong_where_memory_is_and_who_checks_is_right() -> None:
    mixture = Mixture(weights=(0.3, 0.0, 0.7, 0.0), check=0.3)
    checked, kept, solved = 0, 0, []
    for turns in itertools.islice(conversations(4, mixture), 600):
        asked = turns[0].content.rsplit("result of ", 1)[1]
        right = str(eval(asked.removesuffix("?")))
        if len(turns) == 2:
            solved.append(extract_answer(turns[-1].content) == right)
        elif turns[-1].content.startswith("Checking."):
            checked += 1
            assert extract_answer(turns[-1].content) == right
        elif len(turns) == 4:
            kept += 1
            assert extract_answer(turns[-1].content) == extract_answer(turns[1].content)
    assert 0.45 < sum(solved) / len(solved) < 0.75
    assert checked / (checked + kept) == pytest.approx(REHEARSED + (1 - REHEARSED) * 0.3, abs=0.08)


def test_what_is_given_is_not_learned_and_changes_no_token() -> None:
    _, tokenizer = begin(seed=0)
    whole = [Exchange("user", "What is 7*8?"), Exchange("assistant", "Checking. Products first. 7*8=56.", learn=True)]
    ids, learned = encode(whole, tokenizer)
    given_ids, given_learned = encode([whole[0], replace(whole[1], given="Checking.")], tokenizer)
    assert given_ids == ids
    said = tokenizer.decode([token for token, learns in zip(ids, learned, strict=True) if learns])
    rest = tokenizer.decode([token for token, learns in zip(ids, given_learned, strict=True) if learns])
    assert said == "Checking. Products first. 7*8=56.<|end|>" and rest == said.removeprefix("Checking.")


@pytest.mark.slow
def test_a_stage_learns_and_repeats() -> None:
    stage = Stage(name="short", tokens=30_000, batch_tokens=1024)
    states, losses = [], []
    for _ in range(2):
        model, tokenizer = begin(seed=0)
        run_stage(model, tokenizer, stage, 0, lambda state: losses.append(state.loss))
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert losses[-1] < 5.5, "an untrained model has ln 512 = 6.2"
    tiny = torch.tensor(1e-310, dtype=torch.float64)
    assert tiny + tiny > 0, "training sets denormal numbers to zero, but only while it runs"
