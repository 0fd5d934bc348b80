"""The plan of a supervised training: its batches in order, the weight of a token, and the learning rate of each step.

It depends only on the examples, the settings and the seed, so an agent learns the same wherever its steps are made.
"""

from collections.abc import Sequence

from agents.seeding import derive_seed
from agents.training.examples import Encoded, ordered_batches
from agents.training.settings import FinetuneSettings

BETAS, EPSILON, WEIGHT_DECAY = (0.9, 0.999), 1e-8, 0.0
"""AdamW's, which are torch's defaults but for the decay."""
MOST_NORM = 1.0
"""A gradient with a larger norm is scaled down to it."""


class TrainingPlan:
    """The steps of one agent's training.

    Args:
        examples: the dataset as token ids.
        settings: the method's settings.
        seed: the learner's seed.
    """

    def __init__(self, examples: Sequence[Encoded], settings: FinetuneSettings, seed: int) -> None:
        import torch
        from transformers import get_cosine_schedule_with_warmup

        self.examples, self.settings = examples, settings
        self.batches = [
            batch
            for epoch in range(settings.epochs)
            for batch in ordered_batches(examples, settings.batch_size, derive_seed(seed, epoch))
        ]
        # Tokens of all batches have the same weight. Batches have examples of similar length, so with a mean per batch
        # a token of a long response would count for less, and agents would learn to be brief.
        self.weight = len(self.batches) / (settings.epochs * sum(len(example.target) for example in examples) or 1)
        self.warmup = max(1, round(0.05 * len(self.batches)))
        # The schedule is transformers' own, which belongs to an optimizer; only its function is used.
        nothing = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        self._share = get_cosine_schedule_with_warmup(nothing, self.warmup, len(self.batches)).lr_lambdas[0]

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0: a linear warm-up, then a cosine to zero."""
        # The warm-up uses the rate of the next step: at a rate of zero, the first batch would teach nothing.
        return self.settings.learning_rate * float(self._share(max(step, min(step + 1, self.warmup))))

    @property
    def tokens(self) -> int:
        """Tokens that are read, prompts included, over all epochs."""
        return self.settings.epochs * sum(map(len, self.examples))
