"""An adapter that a service keeps: the file that stands for it in the store.

An agent's adapter is a folder under its digest, wherever the weights are. The folder of a hosted adapter has the file
`hosted.json`, which says where the service keeps it and what it learned. If the service hands out the weights, and a
check showed that they are those that it serves, the folder has them too, and any engine can speak with them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, JsonValue, ValidationError

from agents.engines.chat import Message
from agents.engines.protocol import EngineError
from evaluation.record import Record

FILE = "hosted.json"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
"""The files of a PEFT adapter."""


class HostedAdapter(Record):
    """Where a service keeps an adapter, and how it was made."""

    service: str = Field(min_length=1, description="The kind of the service, such as tinker.")
    url: str = Field(description="The base URL of its API.")
    base: str = Field(description="The service's name of the base model.")
    speaks_as: str = Field(min_length=1, description="What a request for a response names.")
    goes_on_from: str | None = Field(description="What the next training starts from; none if it cannot.")
    made_by: str = Field(description="The service's id of the training run or job.")
    learned: str = Field(description="SHA-256 of what was learned, see `training_key`.")
    settings: dict[str, JsonValue] = Field(description="The settings of the training.")
    nats_apart: float | None = Field(
        default=None,
        description="How far the weights in this folder are from the served ones, in nats per token of what was "
        "learned; none if there are no weights here.",
    )

    def files(self, weights: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
        """The files of the adapter's folder, by name; `weights` are those of a PEFT adapter, if there are any."""
        return {**(weights or {}), FILE: self.model_dump_json(indent=2).encode()}


def read_hosted(folder: Path) -> HostedAdapter | None:
    """The hosted adapter of a folder in the store; None if its weights are only here.

    Raises:
        EngineError: the file is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        return HostedAdapter.model_validate_json(file.read_bytes())
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"])) or "the whole file"
        raise EngineError(f"{file} is damaged ({place}); run the job again, which makes it again") from None


def check_weights(folder: Path) -> None:
    """Refuse an adapter whose weights are only at a service, in an engine that needs them here.

    Raises:
        EngineError: the message says who keeps them.
    """
    hosted = read_hosted(folder)
    if hosted and not (folder / WEIGHTS).is_file():
        raise EngineError(
            f"adapter {folder.name[:12]} is kept by {hosted.service} at {hosted.url}, and its weights are not here; "
            "set engine.name to the engine of that service"
        )


def adapter_files(folder: Path) -> list[Path]:
    """The files of an adapter's folder: those of PEFT, or what a service has said of it, or both.

    Raises:
        FileNotFoundError: one is missing.
    """
    hosted, peft = folder / FILE, [folder / CONFIG, folder / WEIGHTS]
    if hosted.is_file():
        return [hosted, *(file for file in peft if file.is_file())]
    for file in peft:
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing: an adapter folder has {CONFIG} and {WEIGHTS}, or {FILE}")
    return peft


def training_key(
    *, examples: Sequence[Sequence[Message]], settings: Mapping[str, JsonValue], start: str | None, seed: int
) -> str:
    """SHA-256 of a training: the same examples, settings, start and seed give the same key on every machine.

    Args:
        examples: what is learned, in order.
        settings: all settings that change the result, and where it is trained.
        start: the adapter's name or digest that it goes on from; None for a new one.
        seed: that of the learner.
    """
    told = json.dumps([list(examples), settings, start, seed], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()
