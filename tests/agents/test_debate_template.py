"""Chat templates that cannot hold a debate are refused; one that refuses silence gets a word for it."""

import jinja2
import pytest

from agents.engines.base_model import BaseModelError
from agents.engines.chat import SILENCE, Message, prompt_text
from agents.engines.debate_template import check_debate
from tests.families import templates
from tests.families.models import FAMILIES
from tests.families.tokenizer import tokenizer_of

SILENT: list[Message] = [
    {"role": "user", "content": "What is 7 * 12?"},
    {"role": "assistant", "content": ""},
    {"role": "user", "content": "Others say 84. What do you say?"},
]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_debate_fits_into_the_template_of_every_family(name: str) -> None:
    tokenizer = tokenizer_of(FAMILIES[name].template)
    check_debate(tokenizer, name)
    text = prompt_text(tokenizer, SILENT)
    assert (SILENCE in text) == (FAMILIES[name].template is templates.MISTRAL)
    assert text.index("7 * 12") < text.index("Others say 84")


def test_another_refusal_stays_an_error() -> None:
    with pytest.raises(jinja2.TemplateError, match="alternate"):
        prompt_text(tokenizer_of(templates.GEMMA), [*SILENT, SILENT[0]])


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% if messages | length > 1 %}{{ raise_exception('one\nturn') }}{% endif %}", r"refuses it \(one turn\)"),
        ("{{ messages[-1]['content'] }}", "leaves out or moves what the user says"),
        ("{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}{% endfor %}", "what the assistant says"),
        ("{% for m in messages | reverse %}{{ m['content'] }}{% endfor %}", "leaves out or moves"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_hold_a_debate_is_refused(template: str, why: str) -> None:
    tokenizer = tokenizer_of(templates.PLAIN)
    tokenizer.chat_template = template
    with pytest.raises(BaseModelError, match=rf"^base_model: the chat template of 'x/y' cannot hold a debate.*{why}"):
        check_debate(tokenizer, "x/y")
