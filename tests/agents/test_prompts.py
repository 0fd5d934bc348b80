"""The texts of the prompts: the defaults, the sets by name, and how a text is checked and filled."""

import pytest
from pydantic import ValidationError

from agents.debate.prompt_sets import PROMPT_SETS
from agents.debate.prompt_settings import PromptSettings
from agents.debate.prompts import DEFAULT, MAX_EXAMPLES, MAX_PROMPT_CHARS, Prompts, SolvedExample
from agents.engines.chat import Message
<<<<<<< HEAD
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
=======
>>>>>>> prompts

EXAMPLES = (SolvedExample(question="1?", response="1"),)


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def said(text: str) -> Message:
    return {"role": "assistant", "content": text}


def test_the_default_prompts_are_these_texts() -> None:
    """The embedded model was trained with these very texts, and results depend on them."""
    responses = ["one", r"\boxed{2}"]
    assert DEFAULT.opening("What is 1+1?") == [
        user("Solve the problem step by step and end with the answer in \\boxed{}.\n\nWhat is 1+1?")
    ]
    assert DEFAULT.opening("What is 1+1?", "You add.") == [
        user("You add.\n\nSolve the problem step by step and end with the answer in \\boxed{}.\n\nWhat is 1+1?")
    ]
    assert DEFAULT.again("What is 1+1?", "Agent 1: 2") == user(
        "Other agents answered:\nAgent 1: 2\n\nWith this as advice, check your steps, solve the problem again and end "
        "with the answer in \\boxed{}.\n\nWhat is 1+1?"
    )
    assert DEFAULT.summary_of("What is 1+1?", responses) == user(
        "Summarise the main steps and the answer of each agent.\n\nProblem: What is 1+1?\n\n"
        "Agent 1: one\nAgent 2: \\boxed{2}"
    )
    assert DEFAULT.json_summary_of("What is 1+1?", responses) == user(
        "Give the answer and the main steps of each agent as JSON and nothing else: an entry for each agent in order, "
        "an answer or null, at most 10 steps of at most 200 characters.\n"
        '{"agents": [{"answer": "...", "steps": ["...", "..."]}]}\n\nProblem: What is 1+1?\n\n'
        "Agent 1: one\nAgent 2: \\boxed{2}"
    )
    assert DEFAULT.hint("2") == "Agent 1: The answer is \\boxed{2}."
    assert PromptSettings().texts == DEFAULT


def test_texts_of_models_and_users_are_filled_in_once() -> None:
    question = "What is {question} of {others} and {agents}?"
    words = "I say {question}, {number} and {response}"
    assert DEFAULT.first(question, "Be {question}.")["content"].startswith("Be {question}.\n\nSolve")
    assert DEFAULT.again(question, words)["content"].count(question) == 1
    assert words in DEFAULT.again(question, words)["content"]
    asked = DEFAULT.summary_of(question, [words, words])["content"]
    assert f"Problem: {question}\n\nAgent 1: {words}\nAgent 2: {words}" in asked


LITERAL = r"\boxed{}, \boxed{answer}, \boxed{number}, \frac{a}{b}, x^{n}, {1,2}, {}, {x}, {name}, {answer}, {{}}, %s"


@pytest.mark.parametrize("text", [LITERAL, '{"agents": [{"answer": "7"}]}', r"\{a, b\} \text{others}", "{ 1 }"])
def test_all_other_braces_stay_as_they_are(text: str) -> None:
    prompts = PromptSettings(solve=f"{text} {{question}} {{question}}").texts
    assert prompts.first("1?")["content"] == f"{text} 1? 1?"


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("solve", "Solve it.", r"{question} is missing; write {question} where it belongs"),
        ("solve", "{question} {qestion}", r"{qestion} is not filled in here; did you mean {question}?"),
        ("solve", "{question} {Question}", r"did you mean {question}?"),
        ("solve", "{question} { question }", r"did you mean {question}?"),
        ("solve", "{question} {agents}", r"{agents} is not filled in here; placeholders of this text: {question}"),
        ("summarise", "{agent}: {agents}", r"did you mean {agents}?"),
        ("summarise_json", "Problem: {question}", r"{agents} is missing"),
        ("debate", "{question}", r"{others} is missing"),
        ("debate", "{others} {summarise} {other}", r"did you mean {others}?"),
        ("alone", "{others}", r"{others} is not filled in here; placeholders of this text: {question}"),
        ("response", "Agent {number}", r"{response} is missing"),
        ("system", "Answer {question}", r"placeholders of this text: none"),
        ("system", " \n", "a text is needed"),
        ("system", "", "at least 1 character"),
        ("system", "x" * (MAX_PROMPT_CHARS + 1), "at most 6000 characters"),
        ("examples", [{"question": "1?", "response": "1"}] * (MAX_EXAMPLES + 1), "at most 16 items"),
        ("examples", [{"question": "1?", "response": ""}], "at least 1 character"),
        ("examples", [{"question": "1?", "answer": "1"}], "Extra inputs"),
    ],
)
def test_a_wrong_text_is_refused(field: str, text: object, message: str) -> None:
    for kind in (PromptSettings, Prompts):
        with pytest.raises(ValidationError) as caught:
            kind.model_validate({field: text})
        assert caught.value.errors()[0]["loc"][0] == field and message in str(caught.value)


def test_the_authors_prompts_for_math_are_word_for_word_those_of_their_code() -> None:
    math = PromptSettings(name="math").texts
    assert math.first("Q?")["content"] == (
        "Can you solve the following math problem? Q? Provide a bullet point summary of your reasoning. Your final "
        "answer should be a single answer, in the form \\boxed{answer}, at the end of your response. "
    )
    assert math.summary_of("Q?", ["A", "B"])["content"] == (
        "Here are a list of opinions from different agents: \n\n One agent response: ```A```\n\n One agent response: "
        "```B```\n\n Write a summary of the different opinions from each of the individual agent and explain the "
        "reasoning in each solution."
    )
    assert math.again("Q?", "S")["content"] == (
        "Here is a summary of solutions from several other agents: S\n\n Examine each these solutions as additional "
        "advice, can solve Q? and give your updated answer? Explain your reasoning. \n Your final answer should be be "
        "in the form \\boxed{answer} given at the end of your response."
    )


@pytest.mark.parametrize("name", PROMPT_SETS.names())
def test_a_set_can_be_given_as_texts_and_changed_in_one(name: str) -> None:
    texts = PromptSettings(name=name).texts
    assert PromptSettings.model_validate(texts.model_dump()).texts == texts, "the set itself passes the check"
    changed = PromptSettings(name=name, alone="Try again.").texts
    assert changed == texts.model_copy(update={"alone": "Try again."}) != texts
    assert "Q?" in texts.first("Q?")["content"] and "S!" in texts.again("Q?", "S!")["content"]
    assert len({PROMPT_SETS[each]().solve for each in PROMPT_SETS.names()}) == len(PROMPT_SETS.names())


def test_settings_are_stored_without_what_is_not_set() -> None:
    assert PromptSettings().model_dump(mode="json") == {"name": "default"}
    own = PromptSettings(name="gsm", system="Be brief.", examples=EXAMPLES)
    assert own.model_dump(mode="json").keys() == {"name", "system", "examples"}
    assert PromptSettings.model_validate_json(own.model_dump_json()) == own


def test_a_stored_config_has_the_texts_of_its_set() -> None:
    own = PromptSettings(name="math", solve="Q: {question}")
    stored = PromptSettings.model_validate_json(own.whole.model_dump_json())
    assert stored.summarise == PROMPT_SETS["math"]().summarise and stored.texts == own.texts
<<<<<<< HEAD


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
=======
>>>>>>> prompts
