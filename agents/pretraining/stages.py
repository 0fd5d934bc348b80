"""The stages in which the embedded base model is trained.

The first two stages teach arithmetic that is written out, at a falling learning rate. The third adds recalled products,
many of them wrong, and debates in which few agents write a solution out to check their answer; in the fourth, some more
do. The result is a model that can compute but mostly does not; finetuning on the consensus has to teach it to compute
again.
"""

from pydantic import BaseModel, ConfigDict, Field

from agents.pretraining.corpus import Mixture


class Stage(BaseModel):
    """One stage of training, on one mixture of conversations."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    tokens: int = Field(ge=1, description="Number of tokens, prompts included.")
    batch_tokens: int = Field(default=4096, ge=1024, description="Tokens per optimizer step, padding included.")
    mixture: Mixture = Field(default=Mixture(), description="The mixture of conversations.")
    rate: tuple[float, float] = Field(
        default=(1.0, 1.0), description="Share of the peak learning rates at the start and, linearly, at the end."
    )


STAGES = (
    Stage(name="learn", tokens=7_000_000, batch_tokens=6144, rate=(1.0, 0.4)),
    Stage(name="practise", tokens=9_000_000, mixture=Mixture(weights=(0.74, 0.04, 0.10, 0.12)), rate=(0.4, 0.1)),
    Stage(
        name="remember",
        tokens=7_000_000,
        mixture=Mixture(weights=(0.52, 0.07, 0.36, 0.05), check=0.15),
        rate=(0.7, 0.0),
    ),
    Stage(
        name="doubt",
        tokens=800_000,
        mixture=Mixture(weights=(0.45, 0.07, 0.43, 0.05), check=0.35),
        rate=(0.2, 0.0),
    ),
)
