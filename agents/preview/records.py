"""The result of a preview: conversations to read, what was measured, and the forecast of the whole job.

`maft preview --json` prints a `Preview`, and the flow `preview` returns one.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from agents.ask import Answer, Utterance
from agents.hosted.spending import Tokens
from evaluation.record import Record
from evaluation.scores import ResponseShares

Stage = Literal["start", "generate and debate", "finetune", "evaluate", "register"]
"""The stages of a job. `start` is everything before the first response, `register` all that is done in MLflow."""


class Turn(Utterance):
    """One response, with the prompt before it and what became of it."""

    prompt: str = Field(description="What the model read, in the form that `Preview.prompts` names.")
    finished: bool = Field(description="Whether the response ended by itself; false if it was cut.")
    tokens: int = Field(description="Tokens of the response, its end token included.")
    right: bool = Field(description="Whether the answer equals the reference answer.")


class Conversation(Answer):
    """The debate on one training problem."""

    reference: str
    right: bool = Field(description="Whether the society's answer equals the reference answer.")
    kept: bool = Field(description="Whether the vote is kept as a label that agents learn from.")
    transcript: Sequence[Turn]


class Sample(Record):
    """What was measured on the problems of a preview; bytes and seconds are of this machine."""

    problems: int = Field(ge=1)
    debate_seconds: float = Field(description="Time of the debate over all problems of the sample.")
    grading_seconds: float = Field(description="Time of the vote, the split and the scores.")
    sampled_tokens: int = Field(description="Tokens of all responses and summaries.")
    prompt_tokens: int = Field(description="Tokens of all their prompts.")
    sampling_speed: float = Field(description="Sampled tokens per second, the reading of the prompts included.")
    reading_speed: float = Field(description="Tokens of prompts read per second.")
    examples: dict[str, int] = Field(description="Examples that each agent would learn from, by agent name.")
    trained_tokens: int = Field(
        description="Tokens of these examples, prompts included, of the agents that are trained here."
    )
    service: Tokens = Field(default=Tokens(), description="Tokens of agents at a service, those of one epoch included.")
    training_start_seconds: float = Field(description="Time of the training before its first step, and after its last.")
    training_speed: float | None = Field(description="Trained tokens per second; none if no agent had an example.")
    rows: int = Field(description="Largest number of prompts that were decoded at once.")
    row_bytes: int = Field(description="Memory that one more prompt in a batch takes; 0 if the engine is elsewhere.")
    sampling_peak_bytes: int = Field(description="Peak memory after the debate, of this process or of its GPU.")
    tuned_peak_bytes: int = Field(
        description="The same after the training, and after an agent that learned has spoken."
    )
    process_peak_bytes: int = Field(description="Peak memory of this process then.")
    adapter_bytes: int = Field(description="Size of the adapters of all agents; 0 if no agent had an example.")
    frame_bytes: int = Field(description="Size of the stored responses, votes and data sets.")
    load_seconds: float = Field(description="Time to load the base models, and the libraries that they need.")


class Forecast(Record):
    """What the whole job is expected to take; see `agents.preview.forecast` for the rules."""

    seconds: dict[Stage, float]
    total_seconds: float
    prompt_tokens: int
    sampled_tokens: int
    trained_tokens: int
    service: Tokens = Field(default=Tokens(), description="The tokens of agents at a service.")
    cost: str | None = Field(default=None, description="What a service will take for them, by engine.prices.")
    debates: int = Field(description="Number of problems that are debated, each time counted.")
    examples: dict[str, int] = Field(description="Examples per agent of one iteration, by agent name.")
    memory_bytes: int = Field(description="Peak memory of the job's process, without the servers.")
    device_memory_bytes: int | None = Field(description="Peak memory on the GPU; none if no GPU is used.")
    disk_bytes: int = Field(description="What the job adds to the home.")


class Shares(ResponseShares):
    """What the responses of the sample were like; shares in 0..1."""

    right_share: float = Field(description="Share of responses whose answer equals the reference.")
    accuracy: float = Field(description="Share of problems whose vote equals the reference.")
    consensus: float = Field(description="Mean share of agents that give the answer of the vote.")
    kept_share: float = Field(description="Share of problems whose vote is kept as a label.")
    tokens_per_response: float = Field(description="Mean tokens of a response, without summaries.")


class Preview(Record):
    """A look at a job before it runs."""

    society: str
    generation: int = Field(description="The generation that debated; 0 is the untuned base.")
    prompts: Literal["text", "messages"] = Field(
        description="text: prompts are the exact text that the model reads, special tokens included. messages: they "
        "are the messages that the engine gets, whose chat template is not known here."
    )
    shares: Shares
    sample: Sample
    forecast: Forecast
    warnings: list[str]
    notes: list[str] = Field(description="What the forecast does not cover.")
    conversations: list[Conversation]
