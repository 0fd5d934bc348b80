"""Joint training: the adapters of all agents on one base model in memory, each trained as if it were alone.

A step takes the next batch of every agent that has one left, and each agent makes its own optimizer step, with its own
mean loss, AdamW state, clipping, schedule and order of batches. Agents share the base and the passes through it; where
a trial shows that a pass through this base would mix them, each has passes of its own.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agents.seeding import derive_seed
from agents.training.adapters import Trained, add_adapter, config_of, go_on, weights_of
from agents.training.divergence import DivergenceError, Losses, train_again_if_diverged
from agents.training.examples import Encoded, encode
from agents.training.learner import Learner
from agents.training.settings import FinetuneSettings
from agents.training.sft.packing import Block, Router, routed
from agents.training.sft.plan import BETAS, EPSILON, MOST_NORM, WEIGHT_DECAY, TrainingPlan
from agents.training.sft.trial import why_one_at_a_time

logger = logging.getLogger(__name__)

PORTION_TOKENS = {"cpu": 1024, "cuda": 16384}
"""Maximum tokens of several agents' batches in one pass, by device. They must keep the device busy, but on a CPU a
layer's data must also fit into its cache (batches of 1,000 to 4,000 tokens trained 8 % slower in pairs than alone)."""
PADDING = 0.05
"""Largest share of padding in a block; blocks are as few as this allows, since each needs a call of attention."""


def finetune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    learners: Sequence[Learner],
    settings: FinetuneSettings,
    on_progress: Callable[[int, int], None],
) -> list[Trained]:
    """Train an adapter for each learner; the base stays unchanged.

    All learners are trained in the same passes if a trial shows that this is exact, otherwise one at a time, with a
    warning.

    Args:
        on_progress: called with (optimizer steps done, steps in all), summed over the learners.

    Raises:
        DivergenceError: the training of an agent diverged; see `finetune.on_divergence`.
        ValueError: an adapter to go on from lacks weights, or has other weights.
    """
    fault = why_one_at_a_time(model, [config_of(learner, settings) for learner in learners])
    if fault:
        logger.warning("%s is trained on the rows of one agent at a time: %s", type(model).__name__, fault)

    def train(some: Sequence[Learner], settings: FinetuneSettings) -> list[Trained | DivergenceError]:
        return train_once(model, tokenizer, some, settings, packs=not fault, on_progress=on_progress)

    return train_again_if_diverged(train, learners, settings)


def train_once(  # noqa: PLR0913, what `finetune` takes, and the result of the trial
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    learners: Sequence[Learner],
    settings: FinetuneSettings,
    *,
    packs: bool,
    on_progress: Callable[[int, int], None],
) -> list[Trained | DivergenceError]:
    """Train an adapter for each learner; the result of a learner whose training diverges is the error.

    Args:
        packs: whether to train all learners in the same passes.
        on_progress: called with (optimizer steps done, steps in all), summed over the learners.

    Raises:
        DivergenceError: a training diverged, and `finetune.on_divergence` is stop.
    """
    context = int(getattr(model.config, "max_position_embeddings", 0) or 2**31)
    encoded = [encode(learner.examples, tokenizer) for learner in learners]
    fitting = [[example for example in own if len(example) <= context] for own in encoded]
    names = [f"agent-{place}" for place in range(len(learners))]
    tuned: Any = None
    try:
        for name, learner in zip(names, learners, strict=True):
            tuned = add_adapter(tuned or model, name, learner, settings)
            go_on(tuned, name, learner)
        trainings = [
            AgentTraining(tuned, name, own, settings, learner)
            for name, own, learner in zip(names, fitting, learners, strict=True)
        ]
        if settings.gradient_checkpointing:
            # Reentrant checkpointing silently drops the gradients of adapters whose input needs no gradient.
            model.gradient_checkpointing_enable({"use_reentrant": False})
        tuned.train()
        with routed(model, tuned, packs=packs) as router:
            _train(router, trainings, on_progress)
        return [
            training.diverged or training.trained(tuned, skipped=len(own) - len(kept))
            for training, own, kept in zip(trainings, encoded, fitting, strict=True)
        ]
    finally:
        if tuned is not None:
            tuned.unload()
        if settings.gradient_checkpointing:
            model.gradient_checkpointing_disable()
        model.eval().requires_grad_(False)


class AgentTraining:
    """The training of one agent: its batches in order, its optimizer and its schedule."""

    def __init__(
        self, tuned: PeftModel, adapter: str, examples: Sequence[Encoded], settings: FinetuneSettings, learner: Learner
    ) -> None:
        self.adapter = adapter
        self.seed = learner.seed
        self.examples = examples
        self.settings = settings
        self.plan = TrainingPlan(examples, settings, learner.seed)
        self.batches = self.plan.batches
        self.parameters = [p for name, p in tuned.named_parameters() if f".{adapter}." in name]
        for parameter in self.parameters:
            parameter.requires_grad_(True)
            # Allocated now and kept. A gradient that a backward pass allocates would lie above the memory that the pass
            # frees, and keep the heap from shrinking.
            parameter.grad = torch.zeros_like(parameter)
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=settings.learning_rate,
            betas=BETAS,
            eps=EPSILON,
            weight_decay=WEIGHT_DECAY,
            fused=True,
        )
        self.losses = Losses(learner.name, len(self.batches))
        self.diverged: DivergenceError | None = None

    def blocks(self, step: int, padding: float) -> list[Block]:
        """The batch of a step, as blocks with at most this share of padding."""
        rows = sorted(self.batches[step], key=len)
        return [Block(self.adapter, like, self.plan.weight) for like in rectangles(rows, padding)]

    def advance(self, step: int, loss: torch.Tensor) -> None:
        """Make an optimizer step at the plan's rate, with the gradient clipped.

        Raises:
            DivergenceError: the training diverged, and `finetune.on_divergence` is stop; else `diverged` has the error.
        """
        self.optimizer.param_groups[0]["lr"] = self.plan.rate(step)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, MOST_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=False)
        try:
            self.losses.add(loss, norm)
        except DivergenceError as error:
            if self.settings.on_divergence == "stop":
                raise
            self.diverged = error

    def trained(self, tuned: PeftModel, skipped: int) -> Trained:
        """The result, after the last step; `skipped` examples were left out before."""
        losses = self.losses.values
        means = torch.stack(losses).view(self.settings.epochs, -1).mean(1).tolist() if losses else [None]
        return Trained(
            examples=len(self.examples),
            skipped=skipped,
            tokens=self.plan.tokens,
            first_loss=means[0],
            last_loss=means[-1],
            weights=weights_of(tuned, self.adapter),
            config=cast(LoraConfig, tuned.peft_config[self.adapter]),
        )


def _train(router: Router, trainings: Sequence[AgentTraining], on_progress: Callable[[int, int], None]) -> None:
    total, done = sum(len(training.batches) for training in trainings), 0
    most, padding = (PORTION_TOKENS[router.model.device.type], PADDING) if router.packs else (0, 1.0)
    seeds = {training.adapter: training.seed for training in trainings}
    for step in range(max(len(training.batches) for training in trainings)):
        living = [training for training in trainings if step < len(training.batches) and not training.diverged]
        if not living:
            return
        losses: dict[str, list[torch.Tensor]] = defaultdict(list)
        for portion in portions([training.blocks(step, padding) for training in living], most):
            if not router.packs:
                # Dropout, which no packed model has, must not depend on the other agents.
                torch.manual_seed(derive_seed(seeds[portion[0].adapter], "dropout", step))
            of_blocks = router.losses(portion)
            of_blocks.sum().backward()
            for block, loss in zip(portion, of_blocks.detach(), strict=True):
                losses[block.adapter].append(loss)
        for training in living:
            training.advance(step, torch.stack(losses[training.adapter]).sum())
        done += len(living)
        on_progress(done, total)


def portions(batches: Sequence[list[Block]], most: int) -> Iterator[list[Block]]:
    """The batches in order, grouped to at most `most` tokens; a batch with more tokens is alone.

    No batch is divided, so an agent learns exactly the same, to the last bit, whichever agents are trained with it.
    """
    portion: list[Block] = []
    for batch in batches:
        if portion and sum(block.tokens for block in [*portion, *batch]) > most:
            yield portion
            portion = []
        portion = [*portion, *batch]
    yield portion


def rectangles(rows: Sequence[Encoded], padding: float) -> Iterator[list[Encoded]]:
    """Group rows, given shortest first, into rectangles with at most this share of padding."""
    group: list[Encoded] = []
    for row in rows:
        tokens = sum(map(len, group)) + len(row)
        if group and tokens < (1.0 - padding) * (len(group) + 1) * len(row):
            yield group
            group = []
        group.append(row)
    yield group
