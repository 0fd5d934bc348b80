"""Pretrain: rebuild the embedded base model from nothing but a seed (`maft pretrain`)."""

from prefect import flow

from agents.pretraining.stages import STAGES, Stage
from tasks.pretrain import TrainedStage, train_stage


@flow(name="pretrain", flow_run_name="embedded base model · seed {seed}")
def pretrain(seed: int = 0, stages: list[Stage] = list(STAGES)) -> TrainedStage:  # noqa: B006, Prefect shows the default
    """Train tokenizer and model stage by stage; a killed run resumes with the stage that was interrupted."""
    trained = train_stage(stages[0], None, seed)
    for number, stage in enumerate(stages[1:], start=1):
        # Each stage has its own seed: with the seed of an earlier stage, its conversations would repeat.
        trained = train_stage(stage, trained.model, seed + number)
    return trained
