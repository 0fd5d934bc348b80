"""Top-p sampling whose choice for a row depends on that row's seed alone."""

import numpy as np
import torch

SHORTLIST = 64
"""Number of most likely tokens that are sorted first."""


def uniforms(seeds: list[int], length: int) -> torch.Tensor:
    """One row of `length` uniform numbers in [0, 1) per seed, shape (len(seeds), length), float64.

    The generator is counter-based (Philox), so a row's numbers depend neither on its batch nor on the device.
    """
    rows = [np.random.Generator(np.random.Philox(key=seed)).random(length) for seed in seeds]
    return torch.from_numpy(np.stack(rows))


def choose(logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """One token id per row of `logits` (B, V), given one uniform number per row (B,).

    The nucleus is the smallest set of most likely tokens whose probability reaches `top_p` (Holtzman et al. 2020,
    https://arxiv.org/abs/1904.09751); the token is the inverse of its cumulative distribution at the uniform number.
    """
    if temperature == 0.0:
        return logits.argmax(dim=-1)
    scaled = logits.float() / temperature
    # The nucleus is nearly always among the most likely tokens; if not, the whole vocabulary is sorted.
    top, order = scaled.topk(min(SHORTLIST, scaled.shape[-1]), dim=-1)
    cumulative = _probabilities(top, scaled).cumsum(dim=-1)
    if bool((cumulative[:, -1] < top_p).any()):
        top, order = scaled.sort(dim=-1, descending=True)
        cumulative = _probabilities(top, scaled).cumsum(dim=-1)
    size = (cumulative < top_p).sum(dim=-1, keepdim=True).clamp(max=cumulative.shape[-1] - 1)
    mass = cumulative.gather(1, size)
    place = torch.searchsorted(cumulative, uniform.to(mass).unsqueeze(1) * mass, right=True)
    return order.gather(1, torch.minimum(place, size)).squeeze(1)


def _probabilities(chosen: torch.Tensor, scaled: torch.Tensor) -> torch.Tensor:
    """Probabilities, float64, of some of the logits under the softmax over all of them."""
    return (chosen.double() - scaled.double().logsumexp(dim=-1, keepdim=True)).exp()
