"""Variables of a chat template reach every use of it, and those that no template reads are refused.

Run: pytest tests/agents/test_chat_template.py
"""

import re
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from agents.debate.prompts import DEFAULT
from agents.debate.system_role import check_system_role
from agents.engines import base_model
from agents.engines.base_model import EMBEDDED, BaseModelError, Bases, identify_bases
from agents.engines.base_model.chat_template import variables, with_variables
from agents.engines.chat import prompt_ids
from agents.engines.openai import OpenAISettings
from agents.engines.transformers import TransformersSettings
from agents.engines.transformers.engine import TransformersEngine
from agents.runners.local import Local
from infra.config.job import Config
from tests.agents.engine_samples import quiet, requests
from tests.agents.openai_server import CHAT, serving
from tests.agents.other_bases import copied

OWN = (EMBEDDED / "chat_template.jinja").read_text("utf-8")
THINKING = OWN + (
    "{%- if add_generation_prompt and enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>' }}{%- endif %}"
)
"""A template in the manner of Qwen3, whose prompt differs if thinking is switched off."""
ASKED: Any = [{"role": "user", "content": "1+1?"}]


def thinking(folder: Path) -> Path:
    copied(folder)
    (folder / "chat_template.jinja").write_text(THINKING, "utf-8")
    return folder


def rendered(tokenizer: Any) -> str:
    return tokenizer.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True)


@pytest.mark.parametrize(
    ("template", "read"),
    [
        (OWN, set()),
        (THINKING, {"enable_thinking"}),
        ("{% if not day is defined %}{% set day = strftime_now('%d') %}{% endif %}{{ bos_token }}{{ day }}", {"day"}),
        ("{% macro say(m) %}{{ m.content }}{{ ending }}{% endmacro %}{{ say(messages[0]) }}", {"ending"}),
        ("{% for m in messages %}{% if m.x %}{% break %}{% endif %}{{ style }}{% endfor %}", {"style"}),
        (
            "{% generation %}{{ mood }}{% endgeneration %}{% set ns = namespace(a=1) %}{{ ns.a }}{{ range(3) }}",
            {"mood"},
        ),
    ],
)
def test_the_variables_that_a_template_reads(template: str, read: set[str], tmp_path: Path) -> None:
    assert variables(template) == read
    # What is set is what transformers renders, in macros and loops too.
    tokenizer: Any = AutoTokenizer.from_pretrained(EMBEDDED)
    tokenizer.chat_template = template
    given = rendered_with(tokenizer, template, dict.fromkeys(read, "set"))
    tokenizer.chat_template = with_variables(template, [(name, "set") for name in read])
    assert rendered(tokenizer) == given


def rendered_with(tokenizer: Any, template: str, values: dict[str, Any]) -> str:
    return tokenizer.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True, **values)


@pytest.mark.parametrize("value", [False, True, None, 3, -0.5, 1e-7, "", 'say "no"\n{% x %}\\', "ä ∑ 🙂", "}}"])
def test_a_value_arrives_as_it_is(value: Any) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(EMBEDDED)
    template = "{{ value }} {{ value is none }} {{ value is boolean }} {{ value is number }}"
    tokenizer.chat_template = with_variables(template, [("value", value)])
    assert rendered(tokenizer) == rendered_with(tokenizer, template, {"value": value})


def test_a_base_has_the_variables_that_its_template_reads(tmp_path: Path) -> None:
    name = str(thinking(tmp_path / "thinking"))
    bases = identify_bases(["embedded", name], False, chat_template={"enable_thinking": False})
    assert [base.chat_template for base in bases.each] == [(), (("enable_thinking", False),)]
    assert Bases.model_validate_json(bases.model_dump_json()) == bases
    assert identify_bases([name], False) != identify_bases([name], False, chat_template={"enable_thinking": False})
    told = r"^chat_template.enable_thinkin is set, but the chat template of \S+ does not read enable_thinkin; it reads "
    with pytest.raises(BaseModelError, match=told + "enable_thinking$"):
        identify_bases([name], False, chat_template={"enable_thinkin": False})
    with pytest.raises(BaseModelError, match=r"chat_template.messages is set, .* it reads no variables$"):
        identify_bases(["embedded"], False, chat_template={"messages": "none"})


def test_the_engine_and_the_training_read_the_same_template(tmp_path: Path) -> None:
    name = str(thinking(tmp_path / "thinking"))
    bases = identify_bases([name], False, chat_template={"enable_thinking": False})
    engine: Any = TransformersSettings().open(bases, Local(device="cpu"), tmp_path)
    plain = base_model.load(name, "cpu")[1]
    assert rendered(engine.tokenizer) == rendered(plain) + "<think>\n\n</think>"
    (spoken,) = engine.complete(requests(1, tokens=5), Config().sampling, quiet)
    assert spoken.prompt_tokens == len(prompt_ids(engine.tokenizer, [requests(1)[0].messages])[0])
    assert spoken.prompt_tokens > len(prompt_ids(plain, [requests(1)[0].messages])[0])


def test_a_system_prompt_is_checked_with_the_variables(tmp_path: Path) -> None:
    folder = copied(tmp_path / "base")
    template = "{% for m in messages %}{% if quiet is defined and m.role == 'system' %}{% continue %}{% endif %}"
    (folder / "chat_template.jinja").write_text(template + "{{ m.content }}{% endfor %}", "utf-8")
    prompts = DEFAULT.model_copy(update={"system": "Be brief."})
    check_system_role(prompts, [str(folder)], False)
    with pytest.raises(BaseModelError, match="leaves it out"):
        check_system_role(prompts, [str(folder)], False, [("quiet", True)])


def test_a_server_gets_the_variables(tmp_path: Path) -> None:
    bases = identify_bases([str(thinking(tmp_path / "base"))], False, chat_template={"enable_thinking": False})
    with serving(TransformersEngine(*base_model.load("embedded", "cpu"), adapters=tmp_path)) as server:
        settings = OpenAISettings(url=server.url)
        for used, sent in ((bases, {"enable_thinking": False}), (identify_bases(["embedded"], False), None)):
            settings.open(used, Local(device="cpu"), tmp_path).complete(requests(1), Config().sampling, quiet)
            assert server.asked(CHAT)[-1].body.get("chat_template_kwargs") == sent


def test_the_config_takes_values_of_json() -> None:
    given = {"a": False, "b": 3, "c": 0.5, "d": "x", "e": None}
    read = Config.model_validate({"chat_template": given}).chat_template
    assert read == given and [type(value) for value in read.values()] == [type(value) for value in given.values()]
    for wrong in ({"a b": 1}, {"a": []}, {"a": float("inf")}):
        with pytest.raises(ValueError, match=re.escape("chat_template")):
            Config.model_validate({"chat_template": wrong})
