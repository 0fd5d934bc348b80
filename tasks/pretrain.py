"""Pretrain: train the embedded base model in stages; the model is stored at the end of each stage."""

from pathlib import Path
from typing import TYPE_CHECKING

from agents.pretraining.stages import Stage
from agents.store import Artifact
from evaluation.record import Record
from infra.home.cache import step
from infra.home.progress import progress
from infra.home.store import current_store

if TYPE_CHECKING:
    from agents.pretraining.train import Progress


class TrainedStage(Record):
    """A model folder after one stage of pretraining."""

    model: Artifact
    loss: float


@step(name="pretrain · {stage.name}")
def train_stage(stage: Stage, start: Artifact | None, seed: int) -> TrainedStage:
    """Train one stage, from the model of the previous stage or from scratch."""
    from agents.pretraining import train  # torch takes seconds to import.

    store = current_store()
    model, tokenizer = train.resume(store.folder(start.sha256)) if start else train.begin(seed)
    losses: list[float] = []
    with progress(f"pretrain · {stage.name}") as tell:

        def on_progress(state: "Progress") -> None:
            losses.append(state.loss)
            tell(state.tokens, stage.tokens)

        train.run_stage(model, tokenizer, stage, seed, on_progress)

    def write(folder: Path) -> None:
        train.save(model, tokenizer, folder)

    return TrainedStage(model=store.put_folder(write, stage.tokens), loss=losses[-1])
