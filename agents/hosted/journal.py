"""What a service said and trained for a job, written down as it comes, so that it is not paid for twice.

The results of a step are kept when the whole step is done. A job that is killed in the middle of one has paid for
responses that no result has; they are read from here instead of being asked for again. The sums tell what a job cost.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from agents.engines.protocol import Completion, Request, Sampling
from agents.hosted.spending import Tokens
from evaluation.record import Record

TRAINED, READ = "trained.jsonl", "read.jsonl"

L = TypeVar("L", bound=Record)


class _Said(Record):
    request: str
    text: str
    prompt_tokens: int = Field(ge=0)
    sampled_tokens: int = Field(ge=0)
    prompt_chars: int = Field(ge=0)
    finished: bool


class _Trained(Record):
    training: str
    trained_tokens: int = Field(ge=0)


class _Read(Record):
    text: str
    nll: float
    read_tokens: int = Field(ge=0)


class Journal:
    """The lines of one job, in a folder.

    Args:
        folder: the job's own folder; it is made when the first line is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def said(self, step: str) -> dict[str, Completion]:
        """The completions that the step's earlier tries got, by the digest of the request."""
        return {
            line.request: Completion(line.text, line.prompt_tokens, line.sampled_tokens, line.finished)
            for line in _lines(self.folder / f"{step}.jsonl", _Said)
        }

    def hear(self, step: str, request: Request, *, digest: str, completion: Completion) -> None:
        """Keep a completion."""
        line = _Said(
            request=digest,
            text=completion.text,
            prompt_tokens=completion.prompt_tokens,
            sampled_tokens=completion.sampled_tokens,
            prompt_chars=_chars(request),
            finished=completion.finished,
        )
        self._append(f"{step}.jsonl", line)

    def train(self, training: str, tokens: int) -> None:
        """Keep that a training has read so many tokens more; `training` is its key."""
        self._append(TRAINED, _Trained(training=training, trained_tokens=tokens))

    def began(self, training: str) -> bool:
        """Whether the job itself began a training, and did not find it."""
        return any(line.training == training for line in _lines(self.folder / TRAINED, _Trained))

    def trained(self, training: str) -> int:
        """The tokens that a training has read so far; `training` is its key."""
        lines = _lines(self.folder / TRAINED, _Trained)
        return sum(line.trained_tokens for line in lines if line.training == training)

    def read(self) -> dict[str, float]:
        """-ln of the likelihood of each text that was read, in nats, by the text's digest."""
        return {line.text: line.nll for line in _lines(self.folder / READ, _Read)}

    def note_read(self, digest: str, nll: float, tokens: int) -> None:
        """Keep the likelihood of a text of so many tokens."""
        self._append(READ, _Read(text=digest, nll=nll, read_tokens=tokens))

    def spent(self) -> Tokens:
        """What the job took so far, repeated requests included."""
        total = Tokens(
            trained=sum(line.trained_tokens for line in _lines(self.folder / TRAINED, _Trained)),
            read=sum(line.read_tokens for line in _lines(self.folder / READ, _Read)),
        )
        for file in sorted(self.folder.glob("*.jsonl")):
            if file.name not in {TRAINED, READ}:
                lines = list(_lines(file, _Said))
                total += Tokens(
                    prompt=sum(line.prompt_tokens for line in lines),
                    sampled=sum(line.sampled_tokens for line in lines),
                    responses=len(lines),
                    prompt_chars=sum(line.prompt_chars for line in lines),
                )
        return total

    def _append(self, name: str, line: Record) -> None:
        with self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / name).open("ab") as file:
                # A line that a kill cut has no line break; the next one must not be joined to it.
                start = b"\n" if file.tell() and not _ends_whole(self.folder / name) else b""
                file.write(start + line.model_dump_json().encode() + b"\n")


def _chars(request: Request) -> int:
    return sum(len(message["content"]) for message in request.messages)


def request_digest(request: Request, sampling: Sampling, engine: str) -> str:
    """SHA-256 of all that a completion depends on; `engine` is the part that the engine's settings have in it."""
    told = [request.messages, request.adapter, request.seed, request.max_new_tokens, sampling.model_dump(), engine]
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _ends_whole(file: Path) -> bool:
    with file.open("rb") as opened:
        opened.seek(-1, 2)
        return opened.read() == b"\n"


def _lines(file: Path, kind: type[L]) -> Iterator[L]:
    """The whole lines of a file; one that a kill cut is left out."""
    if not file.is_file():
        return
    with file.open("rb") as opened:
        for line in opened:
            try:
                yield kind.model_validate_json(line)
            except ValidationError:
                continue
