"""Training of the embedded base model from scratch, in the stages of `agents.pretraining.stages`."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from agents.pretraining.corpus import Exchange, conversations
from agents.pretraining.stages import Stage
from agents.pretraining.tokenizer import VOCABULARY, train_tokenizer

MUON_LR, ADAM_LR = 0.02, 4e-3
"""Peak learning rates: Muon for the matrices of the decoder layers, AdamW for embeddings and norms."""
WARMUP_STEPS = 100


@dataclass(frozen=True)
class Progress:
    """A report after every fifty steps: tokens so far, and the mean loss since the last report."""

    tokens: int
    loss: float


@dataclass(frozen=True)
class Batch:
    """Right-padded rows: ids (B, T), attention mask (B, T), and the positions whose next token is learned."""

    ids: torch.Tensor
    mask: torch.Tensor
    learned: torch.Tensor


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A 0.9M-parameter Llama with random weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def encode(turns: list[Exchange], tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[bool]]:
    """Token ids of a conversation in the chat template, and which of them are learned."""
    ids: list[int] = []
    learned: list[bool] = []
    for turn in turns:
        given = tokenizer(f"<|{turn.role}|>{turn.given}")["input_ids"]
        tokens = tokenizer(f"{turn.content.removeprefix(turn.given)}<|end|>")["input_ids"]
        ids += given + tokens
        learned += [False] * len(given) + [turn.learn] * len(tokens)
    return ids, learned


def batches(
    stream: Iterator[list[Exchange]], tokenizer: PreTrainedTokenizerFast, seed: int, batch_tokens: int
) -> Iterator[Batch]:
    """Endless batches of about `batch_tokens` of an endless stream, with rows of similar length, in a seeded order."""
    while True:
        pool = sorted(
            (encode(turns, tokenizer) for turns in itertools.islice(stream, 2048)), key=lambda row: len(row[0])
        )
        groups: list[list[tuple[list[int], list[bool]]]] = [[]]
        for row in pool:
            if (len(groups[-1]) + 1) * len(row[0]) > batch_tokens:
                groups.append([])
            groups[-1].append(row)
        for index in torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed)).tolist():
            yield _padded(groups[index], tokenizer.pad_token_id)


def _padded(rows: list[tuple[list[int], list[bool]]], pad: int) -> Batch:
    ids = pad_sequence([torch.tensor(tokens) for tokens, _ in rows], batch_first=True, padding_value=pad)
    mask = pad_sequence([torch.ones(len(tokens), dtype=torch.long) for tokens, _ in rows], batch_first=True)
    learned = pad_sequence([torch.tensor(flags) for _, flags in rows], batch_first=True)
    return Batch(ids, mask, learned)


def loss_of(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy of the learned tokens; the head is applied only to them."""
    # A causal model does not see padding on the right: no mask is needed, which allows the fast causal attention.
    hidden = model.model(input_ids=batch.ids, use_cache=False).last_hidden_state
    predicts = batch.learned[:, 1:]
    logits = model.lm_head(hidden[:, :-1][predicts])
    return torch.nn.functional.cross_entropy(logits, batch.ids[:, 1:][predicts])


def begin(seed: int) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """An untrained model and its tokenizer."""
    tokenizer = train_tokenizer(seed)
    return new_model(tokenizer, seed), tokenizer


def resume(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """The model and the tokenizer that `save` wrote after a stage."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return LlamaForCausalLM.from_pretrained(folder, use_safetensors=True, dtype=torch.float32), tokenizer


@contextmanager
def _denormals_as_zero() -> Iterator[None]:
    """The tiny gradients of a confident model are slow on a CPU. The setting is the process's, so it is put back."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def run_stage(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    stage: Stage,
    seed: int,
    on_progress: Callable[[Progress], None],
) -> None:
    """Train the model on one stage; `seed` decides the data and its order."""
    stream = conversations(seed, stage.mixture)
    train(model, batches(stream, tokenizer, seed, stage.batch_tokens), stage, on_progress)


@_denormals_as_zero()
def train(
    model: LlamaForCausalLM, data: Iterator[Batch], stage: Stage, on_progress: Callable[[Progress], None]
) -> None:
    """Train the model on batches, until it has read the tokens of the stage, at the rates of the stage."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=MUON_LR, weight_decay=0.0, momentum=0.95),
        torch.optim.AdamW(rest, lr=ADAM_LR, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    model.train()
    tokens, losses = 0, []
    for step, batch in enumerate(data):
        progress = tokens / stage.tokens
        rate = stage.rate[0] * (1.0 - progress) + stage.rate[1] * progress
        factor = min(1.0, (step + 1) / WARMUP_STEPS) * rate
        for optimizer, peak in zip(optimizers, (MUON_LR, ADAM_LR), strict=True):
            optimizer.param_groups[0]["lr"] = peak * factor
            optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        tokens += int(batch.mask.sum())
        losses.append(loss.item())
        if step % 50 == 49 or tokens >= stage.tokens:
            on_progress(Progress(min(tokens, stage.tokens), sum(losses) / len(losses)))
            losses = []
        if tokens >= stage.tokens:
            break
    model.eval()


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write model and tokenizer as a folder that `from_pretrained` reads."""
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
