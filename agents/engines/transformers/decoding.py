"""How rows of prompts are decoded: in our own loop if a model allows it, else by transformers' `generate`.

Our loop is the faster one: it writes keys and values in place and drops rows that have ended. It is exact for models
whose layers all attend to keys and values. Models with another memory, such as linear attention or a state space, go
through `generate`. A short trial before the first response decides, and the log says it if the loop is not used.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import PreTrainedModel

from agents.engines.base_model import BaseModelError
from agents.engines.transformers import by_generate, by_loop
from agents.engines.transformers.decode_attention import use_decode_attention

log = logging.getLogger("maft.engines")

Pick = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Takes logits (B, V), the indices of their rows (B,) and the number of tokens sampled before; gives tokens (B,)."""

TRIAL = ((5, 4), (11, 7))
"""The rows of the trial: tokens of the prompt, and tokens after it. They differ, so one is padded and ends early."""


class Decode(Protocol):
    """Decodes a batch of prompts."""

    def __call__(
        self,
        model: PreTrainedModel,
        prompts: Sequence[list[int]],
        *,
        limits: torch.Tensor,
        pick: Pick,
        end_ids: set[int],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids (B, longest limit), and the number sampled in each row (B,), the end token included.

        Args:
            model: the model, in eval mode.
            prompts: at least one token each.
            limits: (B,), the most tokens of each row.
            pick: samples the next tokens.
            end_ids: a row ends with any of these tokens.
        """
        ...


@dataclass(frozen=True)
class Decoding:
    """The way in which a model is decoded."""

    decode: Decode
    name: str
    """`loop`, `generate`, or `generate, prompts of one length at a time`."""
    reason: str
    """Why it is not the loop; empty if it is."""


def decoding_of(model: PreTrainedModel) -> Decoding:
    """The fastest exact way to decode a model: its logits are those of a forward pass without a cache.

    A model on a CPU keeps the faster attention of `decode_attention` if that is exact too.

    Raises:
        BaseModelError: neither our loop nor `generate` can decode the model.
        torch.OutOfMemoryError: not even two short rows fit into memory.
    """
    rows, expected = _trial_rows(model)
    attention = model.config._attn_implementation
    use_decode_attention(model)
    why = _fault(by_loop.decode, model, rows, expected)
    if why and model.config._attn_implementation != attention:
        model.set_attn_implementation(attention)
        why = _fault(by_loop.decode, model, rows, expected)
    if not why:
        return Decoding(by_loop.decode, "loop", "")
    reason = _state(model) or f"our loop {why.text}"
    name, decode = "generate", by_generate.decode
    fault = _fault(decode, model, rows, expected)
    if fault:
        # In some models, padding reaches the state; without padding, only rounding is left.
        name, decode = "generate, prompts of one length at a time", by_generate.decode_unpadded
        fault = _fault(decode, model, rows, expected)
    if fault and fault.fails:
        raise BaseModelError(
            f"base_model: {type(model).__name__} cannot be decoded: transformers' generate {fault.text}; "
            "use another model"
        )
    log.warning("%s is decoded by transformers' %s: %s", type(model).__name__, name, reason)
    return Decoding(decode, name, reason)


def _state(model: PreTrainedModel) -> str:
    """What the model remembers besides keys and values, if its config says so."""
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    others = sorted(kind for kind in kinds - {"mlp", "moe"} if "attention" not in kind or kind == "linear_attention")
    return f"its layers keep a state, not keys and values ({', '.join(others)})" if others else ""


Rows = Sequence[tuple[list[int], list[int]]]
"""Prompts, each with the tokens after it."""


@torch.inference_mode()
def _trial_rows(model: Any) -> tuple[Rows, list[torch.Tensor]]:
    """The rows of the trial, and for each the logits (tokens after the prompt, V) of a pass over the whole row."""
    vocabulary = int(model.config.get_text_config().vocab_size)
    rows, expected = [], []
    for prompt, after in TRIAL:
        ids = [(7 * place + prompt) % vocabulary for place in range(prompt + after)]
        rows.append((ids[:prompt], ids[prompt:]))
        whole = torch.tensor([ids[:-1]], device=model.device)
        expected.append(model(input_ids=whole, use_cache=False).logits[0, prompt - 1 :].float())
    return rows, expected


@dataclass(frozen=True)
class _Fault:
    """Why a way of decoding is not exact for a model."""

    text: str
    fails: bool
    """Whether it raises an error, so that it gives nothing at all."""


def _fault(decode: Decode, model: PreTrainedModel, rows: Rows, expected: Sequence[torch.Tensor]) -> _Fault | None:
    """Try a way of decoding; None if it is exact for the model."""
    seen: list[list[torch.Tensor]] = [[] for _ in rows]

    def follow(logits: torch.Tensor, of_rows: torch.Tensor, step: int) -> torch.Tensor:
        """Remember the logits; give the token that comes next in the row, whatever they are."""
        tokens = []
        for row, own in zip(of_rows.tolist(), logits, strict=True):
            after = rows[row][1]
            if step < len(after):
                seen[row].append(own.float())
            tokens.append(after[min(step, len(after) - 1)])
        return torch.tensor(tokens, device=logits.device)

    limits = torch.tensor([len(after) for _, after in rows])
    try:
        decode(model, [prompt for prompt, _ in rows], limits=limits, pick=follow, end_ids=set())
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # The code of a model may raise anything; the warning shows it.
        return _Fault(f"fails ({type(error).__name__}: {' '.join(str(error).split())[:200]})", fails=True)
    off = max(
        relative_difference(torch.stack(own), right) if len(own) == len(right) else float("inf")
        for own, right in zip(seen, expected, strict=True)
    )
    if off <= tolerance(model.dtype):
        return None
    return _Fault(f"gives other logits than a pass without a cache (off by {off:.1g})", fails=False)


def relative_difference(found: torch.Tensor, right: torch.Tensor) -> float:
    """The norm of the difference by that of the right tensor; 0 for equal tensors, also if all is zero."""
    return float((found - right).norm() / right.norm().clamp(min=torch.finfo(torch.float32).tiny))


def tolerance(dtype: torch.dtype) -> float:
    """Largest relative difference of logits that rounding explains; a token read wrongly makes far more."""
    return 1e-4 if dtype in (torch.float32, torch.float64) else 5e-2
