"""LoRA layers for several adapters at once: each stretch of a sequence gets the product of its own adapter."""

from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer
from torch.nn.functional import linear


class PackingError(ValueError):
    """A model or an adapter cannot be trained in packed rows; the message says why."""


@dataclass
class Routing:
    """Which stretch of the sequence belongs to which adapter.

    It is set before a forward pass and kept until after the backward pass, since checkpointed layers read it again.
    """

    stretches: list[tuple[str, int, int]] = field(default_factory=list)
    """(adapter, start, end), in tokens."""


class LoraProduct(torch.autograd.Function):
    """x (tokens, in) W^T + b, with scale_s x A_s^T B_s^T added on every stretch s of the tokens.

    One function replaces four operations per adapter and layer. It adds the products of a stretch in place, so no
    tensor of the size of the output is kept or allocated twice.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stretches: list[tuple[int, int, float]],
        *factors: torch.Tensor,
    ) -> torch.Tensor:
        """The product; `factors` are A_s (r, in) and B_s (out, r) of every stretch, cast to the type of x."""
        out = linear(x, weight, bias)
        lows = []
        for (start, end, scale), down, up in zip(stretches, factors[::2], factors[1::2], strict=True):
            low = linear(x[start:end], down.to(x.dtype)).mul_(scale)
            out[start:end].addmm_(low, up.to(x.dtype).t())
            lows.append(low)
        ctx.stretches = stretches
        ctx.save_for_backward(x, weight, *lows, *factors)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        """Gradients of x and the factors; the base is frozen."""
        x, weight, *saved = ctx.saved_tensors
        lows, factors = saved[: len(ctx.stretches)], saved[len(ctx.stretches) :]
        gradient = gradients[0]
        of_x = gradient @ weight if ctx.needs_input_grad[0] else None
        of_factors = []
        for (start, end, scale), low, down, up in zip(ctx.stretches, lows, factors[::2], factors[1::2], strict=True):
            of_low = (gradient[start:end] @ up.to(gradient.dtype)).mul_(scale)
            of_factors += [
                (of_low.t() @ x[start:end]).to(down.dtype),
                (gradient[start:end].t() @ low).to(up.dtype),
            ]
            if of_x is not None:
                of_x[start:end].addmm_(of_low, down.to(gradient.dtype))
        return of_x, None, None, None, *of_factors


def lora_linear(layer: LoraLinear, routing: Routing, x: torch.Tensor) -> torch.Tensor:
    """Replaces `forward` of a LoRA layer; tokens of an adapter that the layer lacks get the base's product alone."""
    base: Any = layer.get_base_layer()
    tokens, routed = x.shape[:-1].numel(), routing.stretches
    if tokens != routed[-1][2]:
        # Some layers, such as experts, get a part of the tokens in another order, so their adapters are unknown.
        raise PackingError(f"a layer gets {tokens} tokens, but the sequence has {routed[-1][2]}")
    known = [stretch for stretch in routed if stretch[0] in layer.lora_A]
    factors = [f for name, _, _ in known for f in (layer.lora_A[name].weight, layer.lora_B[name].weight)]
    stretches = [(start, end, layer.scaling[name]) for name, start, end in known]
    weight = base.weight.t() if layer.fan_in_fan_out else base.weight
    product: torch.Tensor = LoraProduct.apply(x.flatten(0, -2), weight, base.bias, stretches, *factors)  # type: ignore[no-untyped-call]
    return product.view(*x.shape[:-1], -1)


def plain_layers(tuned: PeftModel) -> list[LoraLinear]:
    """The layers with adapters, if `lora_linear` can replace the forward pass of each.

    Raises:
        PackingError: one is not LoRA on a linear layer, or has a bias, a dropout or a variant such as DoRA.
    """
    layers = {name: module for name, module in tuned.named_modules() if isinstance(module, LoraLayer)}
    others = {
        name.removesuffix(".base_layer").rpartition(".")[2] for name, layer in layers.items() if not _plain(layer)
    }
    if others:
        raise PackingError(
            f"LoRA on {', '.join(sorted(others))} is not plain LoRA on a linear layer, without bias, dropout or variant"
        )
    return [layer for layer in layers.values() if isinstance(layer, LoraLinear)]


def _plain(layer: LoraLayer) -> bool:
    extras = [*layer.lora_variant, *(adapter for adapter, bias in layer.lora_bias.items() if bias)]
    dropouts = any(isinstance(module, torch.nn.Dropout) for module in layer.lora_dropout.values())
    return isinstance(layer, LoraLinear) and not extras and not dropouts
