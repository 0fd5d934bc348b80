"""Every conversation of an agent has its society's prompts: in debates, in training, and when a society is asked."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agents import ask, steps
from agents.ask import Card
from agents.benchmark import star
from agents.debate.prompt_sets import PROMPT_SETS
from agents.debate.prompts import DEFAULT, Prompts
from agents.debate.responses import Said
from agents.debate.settings import DebateSettings as Rules
from agents.debate.system_role import check_system_role
from agents.engines import base_model
from agents.engines.base_model import BaseModelError
from agents.engines.chat import Message
from agents.engines.protocol import Sampling
from agents.engines.transformers import TransformersSettings
from agents.engines.transformers.engine import TransformersEngine
from agents.frames import problems_frame
from agents.judging.confidence import confidence
from agents.judging.likelihood import Reader, Text, likelihoods
from agents.records import Stream, Transcript
from agents.run import Run
from agents.society import Agent, Society
from agents.split import own_words
from agents.training.examples import encode, padded
from agents.training.methods.dpo import preferences
from evaluation.answers.kinds.math import MATH
from evaluation.problems.problem import Problem
from infra.home.cache import cache_key
from tests.agents import other_bases
from tests.agents.rounds import SOME, Listening, run_with

SAMPLING = Sampling(max_new_tokens=30, max_summary_tokens=20)
STREAM = Stream(seed=1, purpose="train", iteration=1)
PROBLEMS = [Problem(question=f"What is {n}+1?", answer=str(n + 1)) for n in (1, 2)]
OWN = Prompts.model_validate(
    {
        "system": "You are careful.",
        "solve": "Q: {question}",
        "summarise": "Sum up: {agents}",
        "debate": "They say {others}. Q: {question}",
        "alone": "Nobody else. Q: {question}",
        "response": "<{number}> {response}",
        "examples": [{"question": "What is 0+0?", "response": r"\boxed{0}"}],
    }
)
SOLVED: list[Message] = [
    {"role": "system", "content": "You are careful."},
    {"role": "user", "content": "Q: What is 0+0?"},
    {"role": "assistant", "content": r"\boxed{0}"},
]
"""What every conversation of an agent with the prompts OWN begins with."""


@pytest.fixture
def engine() -> Listening:
    return Listening(TransformersEngine(*base_model.load("embedded", "cpu"), adapters=Path("none")))


@pytest.fixture
def run(engine: Listening) -> Run:
    return run_with(engine, prompts=OWN)


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def said(text: str) -> Message:
    return {"role": "assistant", "content": text}


def begun(run: Run) -> Transcript:
    return Transcript(problems=run.store.put_frame(problems_frame(PROBLEMS)), stream=STREAM)


def debated(run: Run, society: Society, rules: Rules) -> Transcript:
    y = begun(run)
    y = y.and_then(steps.generate(run, society.generators, transcript=y, personas=rules.personas, sampling=SAMPLING))
    return y.and_then(steps.debate(run, society.critics, transcript=y, rules=rules, sampling=SAMPLING))


def rows(run: Run, y: Transcript) -> pd.DataFrame:
    return pd.concat([run.store.frame(each) for each in y.responses], ignore_index=True)


def text(frame: pd.DataFrame, problem: Problem, index: int, round_: int, column: str = "text") -> str:
    own = frame[(frame["problem_id"] == problem.id) & (frame["index"] == index) & (frame["round"] == round_)]
    (value,) = own[column]
    return value


def test_every_conversation_of_an_agent_begins_with_system_prompt_and_examples(engine: Listening, run: Run) -> None:
    society = Society.untuned(2)
    frame = rows(run, debated(run, society, Rules(personas=["You add."])))
    first, summaries, second = engine.heard
    for place, problem in enumerate(PROBLEMS):
        for index in (0, 1):
            other = text(frame, problem, 1 - index, 1)
            opening = [*SOLVED, user(f"You add.\n\nQ: {problem.question}")]
            assert first[2 * index + place].messages == opening
            assert summaries[2 * index + place].messages == [user(f"Sum up: <1> {other}")], "the base reads no more"
            read = text(frame, problem, index, 2, "summary")
            words = said(text(frame, problem, index, 1))
            assert second[2 * index + place].messages == [
                *opening,
                words,
                user(f"They say {read}. Q: {problem.question}"),
            ]


def test_agents_learn_in_these_conversations_and_only_their_last_words(engine: Listening, run: Run) -> None:
    frame = rows(run, debated(run, Society.untuned(1), Rules()))
    frame["answer"] = ["1" if round_ == 1 else problem for problem, round_ in zip("7878", frame["round"], strict=True)]
    frame["finished"] = True
    labels = dict(zip([problem.id for problem in PROBLEMS], "78", strict=True))
    spoken = Said(frame, OWN, MATH)
    critic = Agent(role="critic", index=0)
    examples = own_words(critic, PROBLEMS, spoken, consensus=labels, critic_mix=1.0, seed=0)
    asked = {problem.id: request.messages for problem, request in zip(PROBLEMS, engine.heard[-1], strict=True)}
    expected = [[*asked[problem.id], said(text(frame, problem, 0, 2))] for problem in PROBLEMS]
    assert examples == expected, "an example is the sampled conversation"
    assert [pair.chosen for pair in preferences(critic, PROBLEMS, spoken, consensus=labels)] == expected

    tokenizer = engine.engine.tokenizer
    encoded = encode(examples, tokenizer)
    ids, marks = padded(encoded)
    for example, tokens, labelled in zip(examples, ids, marks, strict=True):
        learned = tokenizer.decode(tokens[labelled != -100])
        assert learned == f"{example[-1]['content']}{tokenizer.eos_token}"
        assert "You are careful." in tokenizer.decode(tokens[labelled == -100])


def test_a_retry_of_star_is_asked_in_the_same_conversation(engine: Listening, run: Run) -> None:
    society, y = Society.untuned(1), begun(run)
    y = y.and_then(steps.generate(run, society.generators, transcript=y, personas=[], sampling=SAMPLING))
    frame = rows(run, y)
    frame["answer"] = "999"
    wrong = y.ending_in(y.rounds[0].model_copy(update={"responses": run.store.put_frame(frame)}))
    engine.heard.clear()
    star.rationalise(run, society.generators, transcript=wrong, sampling=SAMPLING)
    problem = PROBLEMS[0]
    assert engine.heard[0][0].messages == [
        *SOLVED,
        user(f"Q: {problem.question}"),
        said(text(frame, problem, 0, 1)),
        user(f"They say <1> The answer is \\boxed{{2}}.. Q: {problem.question}"),
    ]


def test_a_response_is_judged_in_the_conversation_in_which_it_was_given(engine: Listening) -> None:
    run, society = run_with(engine.engine, prompts=OWN), Society.untuned(1)
    y = begun(run)
    y = y.and_then(steps.generate(run, society.generators, transcript=y, personas=[], sampling=SAMPLING))
    frame = rows(run, y)
    texts = [
        Text([*SOLVED, user(f"Q: {problem.question}"), said(text(frame, problem, 0, 1))], 0, bool(finished))
        for problem, finished in zip(PROBLEMS, frame["finished"], strict=True)
    ]
    found = likelihoods([Reader(engine.engine, None)], texts, lambda done, total: None)
    weighed = run.store.frame(confidence(run, society, transcript=y).responses)
    assert weighed["weight"].tolist() == pytest.approx(np.exp(-found.nll[0] / found.tokens).tolist(), rel=1e-6)


LONE = [
    Rules(),
    Rules(topology="ring", summarize=False),
    Rules(messages="json"),
    Rules(messages="json", summarize=False),
]


@pytest.mark.parametrize("rules", LONE)
def test_an_agent_that_reads_nobody_gets_no_summary(engine: Listening, run: Run, rules: Rules) -> None:
    frame = rows(run, debated(run, Society.untuned(1), rules))
    first, second = engine.heard
    assert [len(first), len(second)] == [2, 2], "no summary is asked for"
    for place, problem in enumerate(PROBLEMS):
        asked = user(f"Nobody else. Q: {problem.question}")
        assert second[place].messages == [*first[place].messages, said(text(frame, problem, 0, 1)), asked]
        conversation = Said(frame, OWN, MATH).conversation(problem, 0, 2)
        assert conversation == [*second[place].messages, said(text(frame, problem, 0, 2))]
    here = frame[frame["round"] == 2]
    assert here["summary"].isna().all() and here["heard"].tolist() == ["", ""] and here["fallback"].isna().all()


def test_the_asked_society_has_the_prompts_of_its_card(engine: Listening) -> None:
    card = Card(society=Society.untuned(1), bases=SOME, prompts=OWN, debate=Rules(), sampling=SAMPLING)
    again = Card.model_validate_json(card.model_dump_json())
    (answer,) = ask.answer(run_with(engine), again, ["What is 1+1?"], seed=1)
    first, second = (requests[0].messages for requests in engine.heard)
    assert first == [*SOLVED, user("Q: What is 1+1?")]
    assert second[-1] == user("Nobody else. Q: What is 1+1?") and answer.transcript[1].read is None


def test_a_card_of_an_earlier_version_has_the_default_prompts() -> None:
    card = Card(society=Society.untuned(1), bases=SOME, debate=Rules(), sampling=SAMPLING)
    assert Card.model_validate(card.model_dump(exclude={"prompts"})).prompts == DEFAULT


def test_the_prompts_are_part_of_every_cache_key(engine: Listening) -> None:
    keys = {
        cache_key("a step", {"run": run_with(engine.engine, TransformersSettings(), prompts)}, modules=set())
        for prompts in (DEFAULT, OWN, DEFAULT.model_copy(update={"system": "Be brief."}), PROMPT_SETS["gsm"]())
    }
    assert len(keys) == 4


def with_template(folder: Path, template: str) -> str:
    base = other_bases.copied(folder)
    (base / "chat_template.jinja").write_text(template, "utf-8")
    return str(base)


TURNS = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


def test_a_chat_template_without_a_system_role_is_refused_by_name(tmp_path: Path) -> None:
    check_system_role(OWN, ["embedded"], False)
    raises = with_template(
        tmp_path / "a", "{% if messages[0]['role'] == 'system' %}{{ raise_exception('none here') }}{% endif %}" + TURNS
    )
    silent = with_template(tmp_path / "b", TURNS.replace("messages", "messages[1:]"))
    folded = with_template(tmp_path / "c", TURNS)
    check_system_role(DEFAULT, [raises, silent], False)
    check_system_role(OWN, ["embedded", folded], False)
    for base, why in ((raises, r"refuses it \(none here\)"), (silent, "leaves it out")):
        message = f"prompts.system is set, but the chat template of the base model '{base}' {why}; leave"
        with pytest.raises(BaseModelError, match=message):
            check_system_role(OWN, ["embedded", base], False)
