"""Divergence: an agent whose loss or gradient is no longer finite is trained again at half the rate, or not at all."""

import logging
from collections.abc import Callable, Sequence

import torch

from agents.training.adapters import Trained
from agents.training.learner import Learner
from agents.training.settings import FinetuneSettings, TrainingError

logger = logging.getLogger("maft.training")

CHECK_EVERY = 16
"""Optimizer steps from one check to the next; on a GPU, each check waits for all steps before it."""


class DivergenceError(TrainingError):
    """The training of an agent diverged; the message names the agent, the step and the losses."""


class Losses:
    """The losses of one agent's optimizer steps, on the device that trains.

    Args:
        agent: the agent's name.
        steps: the number of optimizer steps that it is to make.
    """

    def __init__(self, agent: str, steps: int) -> None:
        self.agent, self.steps = agent, steps
        self.values: list[torch.Tensor] = []
        self._norms: list[torch.Tensor] = []
        self._checked = 0

    def add(self, loss: torch.Tensor, norm: torch.Tensor) -> None:
        """Add the loss of the next step and the norm of its gradient, both scalars.

        Raises:
            DivergenceError: a loss or a norm since the last check is not finite; CHECK_EVERY says when one is made.
        """
        self.values.append(loss)
        self._norms.append(norm)
        if len(self.values) % CHECK_EVERY == 0 or len(self.values) == self.steps:
            self._check()

    def _check(self) -> None:
        start = max(0, self._checked - 1)  # The last loss before the new ones is in the message.
        losses, norms = torch.stack(self.values[start:]), torch.stack(self._norms[start:])
        self._checked = len(self.values)
        bad = ~(losses.isfinite() & norms.isfinite())
        if not bad.any():
            return
        place = int(bad.nonzero()[0])
        step = start + place + 1
        gradient = f" (the norm of its gradient is {norms[place]:.4g})" if losses[place].isfinite() else ""
        before = f"after {losses[place - 1]:.4g} at step {step - 1}" if place else "and none was finite before"
        raise DivergenceError(
            f"{self.agent}: the training diverged at optimizer step {step} of {self.steps}: the loss is "
            f"{losses[place]:.4g}{gradient}, {before}"
        )


Train = Callable[[Sequence[Learner], FinetuneSettings], list[Trained | DivergenceError]]
"""Trains learners; those that diverge have the error as their result, or it is raised if the job stops at it."""


def train_again_if_diverged(train: Train, learners: Sequence[Learner], settings: FinetuneSettings) -> list[Trained]:
    """Train; if `finetune.on_divergence` is halve, train those that diverge once more, at half the learning rate.

    Raises:
        DivergenceError: `finetune.on_divergence` is stop, or an agent diverged again; the message has a line for each.
    """
    try:
        results = _checked(train(learners, settings), learners)
    except DivergenceError as stopped:
        results = [stopped]
    diverged = {place: result for place, result in enumerate(results) if isinstance(result, DivergenceError)}
    if diverged and settings.on_divergence == "halve":
        settings = settings.model_copy(update={"learning_rate": settings.learning_rate / 2})
        for error in diverged.values():
            logger.warning("%s; it is trained again at half the learning rate, %g", error, settings.learning_rate)
        slow = [learners[place] for place in diverged]
        for place, result in zip(diverged, _checked(train(slow, settings), slow), strict=True):
            results[place] = result
    faults = [result for result in results if isinstance(result, DivergenceError)]
    if faults:
        remedy = f"set finetune.learning_rate below {settings.learning_rate:g}"
        if settings.on_divergence == "stop":
            remedy += ", or finetune.on_divergence to halve"
        raise DivergenceError("\n".join(f"{fault}; {remedy}" for fault in faults))
    return [result for result in results if isinstance(result, Trained)]


def _checked(
    results: Sequence[Trained | DivergenceError], learners: Sequence[Learner]
) -> list[Trained | DivergenceError]:
    """The results, with an error for weights that the last step, whose loss nobody computes, has spoilt."""
    return [
        DivergenceError(
            f"{learner.name}: the training diverged at its last optimizer step: the weights are not finite, after a "
            f"loss of {result.last_loss:.4g}"
        )
        if isinstance(result, Trained) and not result.finite
        else result
        for result, learner in zip(results, learners, strict=True)
    ]
