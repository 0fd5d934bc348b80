"""The end of a turn that agents learn and stop at is that of the chat template."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from agents.engines import base_model
from agents.engines.chat import prompt_ids, turn_end
from agents.engines.transformers.engine import TransformersEngine
from agents.training.examples import encode
from tests.agents.families import tiny

LOOP = "{% for m in messages %}{% set last = loop.last %}"
REFUSES = "{% if messages[-1].role == 'assistant' %}{{ raise_exception('the user comes last') }}{% endif %}"
GENERATE = "{% endfor %}{% if add_generation_prompt %}"
SYSTEM = "<|im_start|>system\nYou help.<|im_end|>\n"
TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}"
TEMPLATES = {
    "chatml": (LOOP + TURN + "<|im_end|>\n" + GENERATE + "<|im_start|>assistant\n{% endif %}", "<|im_end|>"),
    "gemma": (
        LOOP + "<start_of_turn>{{ 'model' if m.role == 'assistant' else 'user' }}\n{{ m.content | trim }}"
        "<end_of_turn>\n" + GENERATE + "<start_of_turn>model\n{% endif %}",
        "<end_of_turn>",
    ),
    "phi3": (
        LOOP + "<|{{ m.role }}|>\n{{ m.content }}<|end|>\n" + GENERATE + "<|assistant|>\n{% else %}</s>{% endif %}",
        "<|end|>",
    ),
    "llama3": (
        LOOP
        + "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"
        + GENERATE
        + "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
        "<|eot_id|>",
    ),
    "mistral": (
        LOOP + "{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}</s>{% endif %}"
        "{% endfor %}",
        "</s>",
    ),
    "llama2": (
        LOOP + "{% if m.role == 'user' %}<s>[INST] {{ m.content }} [/INST]{% else %} {{ m.content | trim }} </s>"
        "{% endif %}{% endfor %}",
        " </s>",
    ),
    "glm4": (LOOP + "<|{{ m.role }}|>\n{{ m.content }}" + GENERATE + "<|assistant|>{% endif %}", "</s>"),
    "alpaca": (LOOP + "### {{ m.role }}:\n{{ m.content }}\n\n" + GENERATE + "### assistant:\n{% endif %}", "</s>"),
    "refuses": (
        REFUSES + SYSTEM + LOOP + TURN + "<|im_end|>\n" + GENERATE + "<|im_start|>assistant\n{% endif %}",
        "<|im_end|>",
    ),
    "refuses, no end": (REFUSES + LOOP + "<|{{ m.role }}|>{{ m.content }}{% endfor %}", "</s>"),
    "only before another": (
        LOOP + TURN + "{% if not last %}<|im_end|>\n{% endif %}" + GENERATE + "<|im_start|>assistant\n{% endif %}",
        "<|im_end|>",
    ),
    "thinks": (
        LOOP + "<|im_start|>{{ m.role }}\n{% if last and m.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
        "{{ m.content }}<|im_end|>\n" + GENERATE + "<|im_start|>assistant\n{% endif %}",
        "<|im_end|>",
    ),
    "shouts": (LOOP + "<|{{ m.role }}|>{{ m.content | upper }}<|end|>{% endfor %}", "</s>"),
}
SPECIAL = ["<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>", "<|user|>", "<|assistant|>", "<|end|>"]
SPECIAL += ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<think>", "</think>"]


def tokenizer(template: str) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words with special tokens, and added tokens for line breaks and runs of spaces."""
    words = ["<unk>", "What", "is", "2", "four", "It", ".", "?", "[", "]", "/", "INST", "#", ":", "user", "model"]
    plain = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = Whitespace()
    made = PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    made.add_tokens(["\n", "\n\n", "  "])
    made.add_special_tokens({"additional_special_tokens": SPECIAL})
    made.chat_template = template
    return made


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_end_of_a_turn_is_that_of_the_template(name: str) -> None:
    template, end = TEMPLATES[name]
    made = tokenizer(template)
    assert turn_end(made) == end
    question = {"role": "user", "content": "What is 2?"}
    (example,) = encode([[question, {"role": "assistant", "content": "It is four."}]], made)
    assert example.prompt == prompt_ids(made, [[question]])[0]
    assert example.target == made(f"It is four.{end}", add_special_tokens=False)["input_ids"]
    assert example.target[-1] == made.convert_tokens_to_ids(end.strip())


def test_a_response_that_was_cut_has_no_end() -> None:
    made = tokenizer("{% for m in messages %}{{ m.content }} ? </s>{% endfor %}")
    assert turn_end(made) == " ? </s>", "two tokens"
    said = [[{"role": "user", "content": "2"}, {"role": "assistant", "content": "It is four."}]] * 2
    ended, cut = encode(said, made, [True, False])
    assert cut.target == ended.target[:-2] == made("It is four.", add_special_tokens=False)["input_ids"]


def test_decoding_stops_at_the_end_of_a_turn(tmp_path) -> None:
    made = tokenizer(TEMPLATES["gemma"][0])
    engine = TransformersEngine(tiny("llama3"), made, adapters=tmp_path)
    assert made.convert_tokens_to_ids("<end_of_turn>") in engine.end_ids and made.eos_token_id in engine.end_ids


def test_a_tokenizer_without_any_end(tmp_path) -> None:
    made = tokenizer(TEMPLATES["alpaca"][0])
    made.eos_token = None
    assert turn_end(made) == ""
    TransformersEngine(tiny("llama3"), made, adapters=tmp_path)


def test_the_embedded_model_ends_with_its_eos_token() -> None:
    _, own = base_model.load("embedded", "cpu")
    assert turn_end(own) == own.eos_token
