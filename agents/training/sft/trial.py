"""The trial before training: whether the agents of a model can be trained together, as if each were alone."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig
from transformers import PreTrainedModel

from agents.engines.transformers.decode_attention import NAME as DECODE
from agents.engines.transformers.decoding import relative_difference, tolerance
from agents.training.adapters import attach
from agents.training.examples import Encoded
from agents.training.sft.lora import PackingError
from agents.training.sft.packing import Block, routed

LENGTHS = (5, 11)
"""Tokens of the rows that are read in the trial, one row for each adapter of the same config."""
SHARE = 0.1
"""Share by which the trial's random adapters are reduced, so that a model in bfloat16 is not driven to noise."""


def why_one_at_a_time(model: PreTrainedModel, configs: Sequence[LoraConfig]) -> str | None:
    """Why agents have to be trained one at a time on this model; None if they can be trained together.

    Two small rows, each with a random adapter of its own, are read as one sequence and, with PEFT's own layers, apart.
    The model stays unchanged: the adapters are added to a copy of its modules that shares its weights.

    Args:
        model: the base model.
        configs: the configs of the agents' adapters.
    """
    attention = model.config._attn_implementation
    if attention not in {"sdpa", DECODE}:
        return f"it uses the attention {attention!r}"
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)
    different = [config for place, config in enumerate(configs) if config not in configs[:place]]
    with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(0)
        tuned: Any = twin
        for place in range(len(LENGTHS) * len(different)):
            own = copy.deepcopy(different[place // len(LENGTHS)])
            own.init_lora_weights, own.lora_alpha = False, own.r
            tuned = attach(tuned, str(place), own)
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.data.mul_(SHARE)
        return _fault(twin, tuned.train())


def _fault(model: PreTrainedModel, tuned: Any) -> str | None:
    """Why the rows of two adapters cannot be read as one sequence; None if they can."""
    vocabulary = int(model.config.get_text_config().vocab_size)
    adapters = list(tuned.peft_config)
    rows = [
        (torch.arange(length)[None] * 7 + 3 * place) % vocabulary
        for place, length in enumerate(LENGTHS * (len(adapters) // len(LENGTHS)))
    ]
    blocks = [Block(name, [Encoded(row[0].tolist(), [])], 0.0) for name, row in zip(adapters, rows, strict=True)]
    wanted = [torch.ones_like(row, dtype=torch.bool) for row in rows]

    before = _random_state(model.device)
    with torch.no_grad(), routed(model, tuned, packs=False) as router:
        alone = torch.cat([router.logits([b], [r], [w]) for b, r, w in zip(blocks, rows, wanted, strict=True)])
    if not torch.equal(_random_state(model.device), before):
        return "it draws random numbers in training, as for dropout"
    try:
        with routed(model, tuned, packs=True) as router:
            together = router.logits(blocks, rows, wanted)
            together.sum().backward()
    except PackingError as error:
        return str(error)
    except Exception as error:  # A model may refuse packed rows in any way.
        return f"it cannot read packed rows ({type(error).__name__}: {error})"
    off = relative_difference(together.detach().float(), alone.float())
    return f"packed rows give other logits (off by {off:.1g})" if not off <= tolerance(alone.dtype) else None


def _random_state(device: torch.device) -> torch.Tensor:
    """The state of the generator from which a model on this device draws."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.random.get_rng_state()
