"""A small byte-level tokenizer with the special tokens of a chat template."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.families.templates import Template

VOCABULARY = 288
"""256 bytes, and room for the special tokens of any template."""


def tokenizer_of(template: Template) -> PreTrainedTokenizerFast:
    """A tokenizer whose tokens are bytes; padding is a token of its own."""
    special = list(dict.fromkeys([*template.special, "<pad>"]))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate([*special, *alphabet])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token=template.special[0],
        bos_token=template.bos,
        additional_special_tokens=[token for token in special[1:-1] if token != template.bos],
    )
    tokenizer.chat_template = template.text
    tokenizer.padding_side = "left"
    return tokenizer
