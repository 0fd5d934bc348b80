"""A base model of one layer whose responses have eight tokens, and problems that it can solve by chance.

A job on it is faster than on the embedded model. It is for tests of what is done with responses:
votes, datasets, adapters, records, caches. What the embedded model itself can do is tested with that model.
"""

import json
import random
import shutil
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from agents.engines import base_model

RESPONSE = ["<|assistant|>", "FIRST", "SECOND", "Ġ\\", "boxed", "{", "ANSWER", "}", "<|end|>"]
"""The kinds of tokens in the order of a response; each kind follows the one before it."""
FIRST = ["Check", "Solve", "Problem", "Gains", "Summarise", "Products", "Checking", "Agent", "With", "Left"]
SECOND = ["Ġanswer", "Ġstep", "Ġand", "Ġwith", "Ġend", "Ġproblem", "Ġresult", "Ġto", "Ġright", "Ġyou"]
ANSWERS = {"1": 0.7, "2": 0.3}
"""The probability of each answer; a problem's true answer is drawn from them too."""
CERTAIN = 30.0
"""A logit so large that a token of another kind has no chance."""


def write_base(folder: Path) -> Path:
    """Write the model into a new folder. It has the tokenizer of the embedded model."""
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copyfile(base_model.EMBEDDED / name, folder / name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vocabulary = tokenizer.get_vocab()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    embedding, head = model.model.embed_tokens.weight, model.lm_head.weight
    with torch.no_grad():
        # The layer adds nothing until an adapter changes it, so the last token alone decides the next one.
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()
        embedding[:, : len(RESPONSE)] = 0.0
        head.zero_()
        for place, kind in enumerate(RESPONSE):
            chances = {"FIRST": dict.fromkeys(FIRST, 1.0), "SECOND": dict.fromkeys(SECOND, 1.0), "ANSWER": ANSWERS}
            for token, chance in chances.get(kind, {kind: 1.0}).items():
                row = vocabulary[token]
                # The norm of an embedding after RMSNorm is the square root of the hidden size.
                embedding[row, place] = 1.0
                if place:
                    head[row, place - 1] = (CERTAIN + torch.tensor(chance).log()) / config.hidden_size**0.5
    model.save_pretrained(folder)
    return folder


def write_problems(file: Path, count: int = 400) -> Path:
    """Write a JSONL file of problems whose answers the model gives by chance."""
    chance = random.Random(1)
    answers = chance.choices([*ANSWERS], [*ANSWERS.values()], k=count)
    rows = [{"question": f"Is card {n} marked 1 or 2?", "answer": answer} for n, answer in enumerate(answers)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file
