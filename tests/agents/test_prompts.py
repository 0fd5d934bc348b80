"""The texts of the prompts: the defaults, the sets by name, and how a text is checked and filled."""

import pytest
from pydantic import ValidationError

from agents.debate.prompt_sets import PROMPT_SETS
from agents.debate.prompt_settings import PromptSettings
from agents.debate.prompts import DEFAULT, MAX_EXAMPLES, MAX_PROMPT_CHARS, Prompts, SolvedExample
from agents.engines.chat import Message

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


LITERAL = (
    r"\boxed{}, \boxed{answer}, \boxed{number}, \frac{\sqrt[3]{a}}{b}, x^{n}, {1,2}, {}, {{x}}, {{anwser}}, {{}}, %s"
)


@pytest.mark.parametrize("text", [LITERAL, '{"agents": [{"answer": "7"}]}', r"\{a, b\} \text{others}", "{ 1 } {a b}"])
def test_all_other_braces_stay_as_they_are(text: str) -> None:
    prompts = PromptSettings(solve=f"{text} {{question}}{{question}}").texts
    assert prompts.first("1?")["content"] == f"{text} 1?1?"


@pytest.mark.parametrize("word", ["anwser", "problem", "input", "choices", "name", "x", "a_b1", "frage"])
@pytest.mark.parametrize(
    "around", ["Solve {question} in %s", "{question}%s", r"{question}\n%s", "Solve%s {question}, {x: %s}"]
)
def test_an_unknown_word_alone_in_braces_is_refused(around: str, word: str) -> None:
    with pytest.raises(ValidationError) as caught:
        PromptSettings(solve=around.replace("%s", f"{{{word}}}"))
    assert f"{{{word}}} is not filled in here; placeholders of this text: {{question}}" in str(caught.value)
    assert f"write {{{{{word}}}}}" in str(caught.value)


def test_a_placeholder_in_double_braces_is_a_literal() -> None:
    prompts = PromptSettings(solve="Repeat {{question}}: {question}").texts
    assert prompts.first("1?")["content"] == "Repeat {{question}}: 1?"
    with pytest.raises(ValidationError, match=r"\{question} is missing"):
        PromptSettings(solve="Repeat {{question}}")


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
        ("debate", "{others} {other}", r"did you mean {others}?"),
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
