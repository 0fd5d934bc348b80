"""Chat templates in the manner of those that model families publish, and the special tokens that they write."""

from typing import NamedTuple


class Template(NamedTuple):
    """A chat template."""

    text: str
    special: tuple[str, ...]
    """Its special tokens; the first is the tokenizer's eos_token, the last ends a turn."""
    bos: str | None = None


def _by_role(before: str, after: str, generation: str, start: str = "") -> str:
    return (
        f"{start}{{% for m in messages %}}{before}{{{{ m['content'] }}}}{after}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{generation}{{% endif %}}"
    )


CHATML = Template(
    _by_role("<|im_start|>{{ m['role'] }}\n", "<|im_end|>\n", "<|im_start|>assistant\n"),
    ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
)
THINKING = Template(
    "{% set ns = namespace(last=-1) %}"
    "{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' and loop.index0 < ns.last %}{{ m['content'].split('</think>')[-1].lstrip('\n') }}"
    "{% else %}{{ m['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
    ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
)
"""Qwen3's manner: thoughts of earlier turns are left out, and `enable_thinking: false` writes an empty thought."""


def _llama(start: str, end: str, turn: str) -> Template:
    """The manner of Llama 3 and 4: a header with the role, in tokens of its own."""
    before, text = "{{ bos_token }}", f"{start}{{{{ m['role'] }}}}{end}\n\n"
    special = ("<|end_of_text|>", "<|begin_of_text|>", start, end, turn)
    return Template(_by_role(text, turn, f"{start}assistant{end}\n\n", before), special, bos="<|begin_of_text|>")


LLAMA3 = _llama("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
LLAMA4 = _llama("<|header_start|>", "<|header_end|>", "<|eot|>")
MISTRAL = Template(
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }}[/INST]"
    "{% elif m['role'] == 'assistant' %}"
    "{% if not m['content'] %}{{ raise_exception('Assistant message must have content') }}{% endif %}"
    " {{ m['content'] }}{{ eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported') }}{% endif %}{% endfor %}",
    ("</s>", "<s>", "[INST]", "[/INST]", "</s>"),
    bos="<s>",
)
"""The end of a turn is the tokenizer's own; an empty assistant turn is refused."""
GEMMA = Template(
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
    ("<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
    bos="<bos>",
)
PHI3 = Template(
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}",
    ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
)
PHI4 = Template(
    _by_role("<|im_start|>{{ m['role'] }}<|im_sep|>", "<|im_end|>", "<|im_start|>assistant<|im_sep|>"),
    ("<|endoftext|>", "<|im_start|>", "<|im_sep|>", "<|im_end|>"),
)
GLM = Template(
    "[gMASK]<sop>{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    ("<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|endoftext|>"),
)
"""The template writes nothing at the end of a turn, so the tokenizer's eos_token ends it."""
TULU = Template(
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    ("<|endoftext|>", "<|bos|>", "<|system|>", "<|user|>", "<|assistant|>", "<|endoftext|>"),
    bos="<|bos|>",
)
GRANITE = Template(
    _by_role(
        "<|start_of_role|>{{ m['role'] }}<|end_of_role|>",
        "<|end_of_text|>\n",
        "<|start_of_role|>assistant<|end_of_role|>",
    ),
    ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"),
)
ZEPHYR = Template(
    _by_role("<|{{ m['role'] }}|>\n", "<|endoftext|>\n", "<|assistant|>\n"),
    ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|endoftext|>"),
)
COHERE = Template(
    "{{ bos_token }}{% for m in messages %}<|START_OF_TURN_TOKEN|>"
    "{{ {'user': '<|USER_TOKEN|>', 'assistant': '<|CHATBOT_TOKEN|>', 'system': '<|SYSTEM_TOKEN|>'}[m['role']] }}"
    "{{ m['content'] }}<|END_OF_TURN_TOKEN|>{% endfor %}"
    "{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}",
    (
        "<|END_OF_SEQ|>", "<BOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>",
        "<|SYSTEM_TOKEN|>", "<|END_OF_TURN_TOKEN|>",
    ),
    bos="<BOS_TOKEN>",
)  # fmt: skip
DEEPSEEK = Template(
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] == 'user' %}<｜User｜>{{ m['content'] }}"
    "{% elif m['role'] == 'assistant' %}<｜Assistant｜>{{ m['content'] }}{{ eos_token }}"
    "{% else %}{{ m['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}<｜Assistant｜>{% endif %}",
    ("<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
    bos="<｜begin▁of▁sentence｜>",
)
HARMONY = Template(
    "{% for m in messages %}{% if m['role'] == 'assistant' %}"
    "<|start|>assistant<|channel|>final<|message|>{{ m['content'] }}"
    "{% if loop.last and not add_generation_prompt %}<|return|>{% else %}<|end|>{% endif %}"
    "{% else %}<|start|>{{ m['role'] }}<|message|>{{ m['content'] }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}",
    ("<|endoftext|>", "<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"),
)
"""gpt-oss's manner: the last answer ends with another token than earlier ones."""
PLAIN = Template(
    _by_role("{{ m['role'] }}: ", "{{ eos_token }}\n", "assistant: "),
    ("<|endoftext|>",),
)
"""For families that were published without a template, and get one from their users."""
