"""The training of one agent at a service with Tinker's API, from the last state that was saved.

The steps are those of the local training: the same token ids, batches, weights, learning rates and AdamW. What is known
of the training is noted in the store before the next step depends on it, so that a killed job goes on and pays for
nothing twice but the steps since the last saved state.
"""

import math
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

from pydantic import Field

from agents.engines.tinker.engine import SEEDS, TinkerEngine
from agents.engines.tinker.service import connect, one_line_errors
from agents.hosted.asking import StoppedError
from agents.hosted.journal import Journal
from agents.store import Store
from agents.training.divergence import DivergenceError
from agents.training.examples import Encoded
from agents.training.learner import Learner
from agents.training.sft.plan import BETAS, EPSILON, MOST_NORM, WEIGHT_DECAY, TrainingPlan
from evaluation.record import Record

if TYPE_CHECKING:
    from agents.training.methods.tinker import Tinker


class Progress(Record):
    """What is known of a training; noted in the store under its key."""

    run: str = Field(default="", description="The service's id of the training run.")
    losses: list[float] = Field(default=[], description="The loss of each step that the saved state has.")
    state: str | None = Field(default=None, description="The saved state: weights and optimizer.")
    speaks_as: str | None = Field(default=None, description="The finished weights; none while it is trained.")


@dataclass
class ServiceTraining:
    """One agent's training.

    Args:
        learner: the agent.
        plan: its steps.
        key: the training's SHA-256, see `agents.hosted.adapter.training_key`.
        start: the saved state whose weights it starts from; None for new ones.
        settings: the method.
        engine: the service.
        store: where it is noted how far the training is.
        journal: where it is noted what was paid; None: nowhere.
    """

    learner: Learner
    plan: TrainingPlan
    key: str
    start: str | None
    settings: "Tinker"
    engine: TinkerEngine
    store: Store
    journal: Journal | None
    done: int = 0
    """Steps that were made, for display."""
    stopped: Event = field(default_factory=Event)
    """Ends the training before its next step."""

    @property
    def progress(self) -> Progress:
        """What the store knows of it."""
        noted = self.store.noted(self._name)
        return Progress.model_validate_json(noted) if noted else Progress()

    def note(self, progress: Progress) -> None:
        """Let the store know."""
        self.store.note(self._name, progress.model_dump_json().encode())

    @property
    def _name(self) -> str:
        return f"training-{self.key}.json"

    @property
    def tokens_left(self) -> int:
        """Tokens of the steps that no saved state has."""
        return sum(len(row) for batch in self.plan.batches[len(self.progress.losses) :] for row in batch)

    def finish(self) -> Progress:
        """Make all steps that are left, and save the result.

        Raises:
            DivergenceError: a loss is not finite.
            EngineError: the service gave up.
            StoppedError: after `stopped`.
        """
        progress = self.progress
        self.done = len(progress.losses)
        if progress.speaks_as:
            return progress
        with one_line_errors(self.engine.settings):
            path = self._saved(progress)
            if path is None:
                progress, path = self._make(progress)
        progress = progress.model_copy(update={"speaks_as": path})
        self.note(progress)
        return progress

    def _make(self, progress: Progress) -> tuple[Progress, str]:
        """Make the steps that are left; returns what is known then, and the name of the finished weights."""
        client, losses = self._client(progress), list(progress.losses)
        for step in range(len(losses), len(self.plan.batches)):
            if self.stopped.is_set():
                raise StoppedError(f"the training of {self.learner.name} was stopped")
            losses.append(self._step(client, step))
            self.done = step + 1
            if self.done % self.settings.save_every == 0 or self.done == len(self.plan.batches):
                state = self._wait(client.save_state(f"{self.key[:16]}-{self.done}")).path
                if self.journal:
                    self.journal.train(self.key, self._tokens(len(progress.losses), self.done))
                progress = Progress(run=client.model_id, losses=list(losses), state=state)
                self.note(progress)
        return progress, self._wait(client.save_weights_for_sampler(self._final)).path

    @property
    def _final(self) -> str:
        return f"{self.key[:16]}-final"

    def _saved(self, progress: Progress) -> str | None:
        """The finished weights, if an earlier try saved them and was killed before it noted their name."""
        if not progress.run or len(progress.losses) < len(self.plan.batches):
            return None
        listed = self._wait(connect(self.engine.settings).create_rest_client().list_checkpoints(progress.run))
        return next((each.tinker_path for each in listed.checkpoints if each.tinker_path.endswith(self._final)), None)

    def _tokens(self, first: int, end: int) -> int:
        return sum(len(row) for batch in self.plan.batches[first:end] for row in batch)

    def _wait(self, asked: Any) -> Any:
        return asked.result(timeout=self.engine.settings.patience_seconds)

    def _client(self, progress: Progress) -> Any:
        """A training client: new, or with the saved state, or with the weights of the agent's previous generation."""
        service, layers = connect(self.engine.settings), self.settings.layers
        client = service.create_lora_training_client(
            base_model=self.engine.model,
            rank=self.settings.rank,
            seed=self.learner.seed % SEEDS,
            train_attn="attention" in layers,
            train_mlp="mlp" in layers,
            train_unembed="unembedding" in layers,
            user_metadata={"maft": self.key},
        )
        if progress.state:
            self._wait(client.load_state_with_optimizer(progress.state))
        elif self.start:
            self._wait(client.load_state(self.start))
        return client

    def _step(self, client: Any, step: int) -> float:
        """Make an optimizer step; returns the loss of its batch."""
        import tinker

        batch = self.plan.batches[step]
        inputs = _weighted if self.settings.losses == "sum" else _fixed_ratio
        data = [
            tinker.Datum(
                model_input=tinker.ModelInput.from_ints((row.prompt + row.target)[:-1]),
                loss_fn_inputs=inputs(row, self.plan.weight, len(batch)),
            )
            for row in batch
        ]
        if self.settings.losses == "sum":
            passed = client.forward_backward(data, "cross_entropy")
        else:
            fixed = {"clip_low_threshold": 1.0, "clip_high_threshold": 1.0}
            passed = client.forward_backward(data, "cispo", loss_fn_config=fixed)
        stepped = client.optim_step(
            tinker.AdamParams(
                learning_rate=self.plan.rate(step),
                beta1=BETAS[0],
                beta2=BETAS[1],
                eps=EPSILON,
                weight_decay=WEIGHT_DECAY,
                grad_clip_norm=MOST_NORM,
            )
        )
        outputs = self._wait(passed).loss_fn_outputs
        self._wait(stepped)
        loss = self.plan.weight * sum(
            -sum(output["logprobs"].data[-len(row.target) :]) for row, output in zip(batch, outputs, strict=True)
        )
        if not math.isfinite(loss):
            raise DivergenceError(
                f"{self.learner.name}: the training diverged at optimizer step {step + 1} of "
                f"{len(self.plan.batches)}: the loss is {loss}; set finetune.learning_rate below "
                f"{self.settings.learning_rate:g}"
            )
        return float(loss)


def _weighted(row: Encoded, weight: float, rows: int) -> dict[str, Any]:
    """The inputs of the loss sum_t w_t (-ln p_t), in which each token that is learned has the plan's weight."""
    ids, context = row.prompt + row.target, len(row.prompt) - 1
    return {"target_tokens": ids[1:], "weights": [0.0] * context + [weight] * len(row.target)}


def _fixed_ratio(row: Encoded, weight: float, rows: int) -> dict[str, Any]:
    """The same loss for a service that takes the mean over an example's tokens and over the examples.

    Such a service ignores how large the weights of an example are beside those of another. Its policy-gradient loss
    with the ratio fixed at 1, -1/rows sum_t A_t ln p_t / T for the T tokens that count, has the same gradient for
    A_t = weight x T x rows.
    """
    ids, context, learned = row.prompt + row.target, len(row.prompt) - 1, len(row.target)
    return {
        "target_tokens": ids[1:],
        "weights": [0.0] * context + [1.0] * learned,
        "logprobs": [0.0] * (context + learned),
        "advantages": [0.0] * context + [weight * learned * rows] * learned,
    }
