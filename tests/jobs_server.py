"""A real HTTP server that finetunes by files and jobs, in OpenAI's and in Fireworks' form, and speaks.

It truly trains a base with our trainer, one job after another, in a thread. What it knows of the two forms is in
`tests/jobs_openai.py` and `tests/jobs_fireworks.py`; the vendors' own clients pass against it unchanged.
"""

import json
import queue
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from agents.engines import base_model
from agents.engines.protocol import Completion, Request, Sampling
from agents.engines.transformers.engine import TransformersEngine
from agents.training.learner import Learner
from agents.training.methods.sft import Sft
from agents.training.sft.train import finetune
from tests.agents.openai_server import Fault, Handler, OpenAIServer, Seen

BASE = "tiny-base"
LIVING = ("validating", "queued", "running")
"""States of a job that has not ended."""


@dataclass
class Job:
    id: str
    file: str
    start: str
    """The name of the base, or of a model that an earlier job made."""
    settings: dict[str, Any]
    about: dict[str, Any] = field(default_factory=dict)
    """What the form adds."""
    state: str = "validating"
    """validating, queued, running, succeeded, failed or cancelled."""
    reason: str = ""
    model: str = ""
    tokens: int | None = None


class Cancelled(Exception):
    """A job was cancelled while it was trained."""


class RefusedFile(Exception):
    """A file that cannot be learned from."""


class JobsServer(OpenAIServer):
    """The server. `made` counts all that was ever made, `lose` the answers to lose per path, `first` their faults."""

    def __init__(self, base: str, folder: Path, least: int = 10) -> None:
        super().__init__(TransformersEngine(*base_model.load(base, "cpu"), adapters=folder, batch_rows=32))
        self.RequestHandlerClass = JobsHandler
        self.base, self.folder, self.least = base, folder, least
        self.trainable = base_model.load(base, "cpu")
        self.files: dict[str, tuple[str, bytes]] = {}
        self.jobs: dict[str, Job] = {}
        self.deployed: dict[tuple[str, str], int] = {}
        self.made: Counter[str] = Counter()
        self.lose: Counter[str] = Counter()
        self.first: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.fail: dict[str, str] = {}
        """Reasons by a word in a job's `about` for which it fails."""
        self.names = {BASE: None}
        self.hold = threading.Event()
        """Jobs are trained only while this is set."""
        self.hold.set()
        self.key: str | None = None
        self.forgets_metadata = False
        """Whether jobs lose their metadata, as on a server that has none."""
        self.reads = 0
        """How often a file is said to be read still, as Azure says it."""
        self.on: Callable[[str, str], None] = lambda route, phase: None
        """Called with a request's route before it is done, and again when it is done but not answered."""
        self.state = threading.RLock()
        self._asked: list[_Asked] = []
        self._orders: queue.Queue[Job | None] = queue.Queue()
        self._trainer = threading.Thread(target=self._train_all, daemon=True)
        self._trainer.start()

    def end(self) -> None:
        self.hold.set()
        self._orders.put(None)
        self._trainer.join()

    def keep_file(self, id_: str, name: str, content: bytes) -> None:
        with self.state:
            self.files[id_] = (name, content)
            self.made["files"] += 1

    def give(self, job: Job) -> Job:
        with self.state:
            self.jobs[job.id] = job
            self.made["jobs"] += 1
        self._orders.put(job)
        return job

    def cancel(self, job: Job) -> None:
        with self.state:
            if job.state in LIVING:
                job.state = "cancelled"
                self.made["cancelled"] += 1

    def say(self, body: dict[str, Any]) -> Completion:
        sampling = Sampling(temperature=body.get("temperature", 1.0), top_p=body.get("top_p", 1.0))
        adapter = self.names[body["model"]]
        request = Request(body["messages"], adapter, body.get("seed", 0), body.get("max_tokens", 64))
        asked = _Asked(request, sampling)
        with self.state:
            self._asked.append(asked)
        # Whoever gets the turn answers all that wait with the same sampling.
        with self.turn:
            if asked.said is None:
                with self.state:
                    batch = [each for each in self._asked if each.sampling == sampling]
                    self._asked = [each for each in self._asked if each.sampling != sampling]
                said = self.engine.complete([each.request for each in batch], sampling, lambda done, total: None)
                for each, completion in zip(batch, said, strict=True):
                    each.said = completion
        assert asked.said is not None
        return asked.said

    def _train_all(self) -> None:
        while (job := self._orders.get()) is not None:
            try:
                examples = self._validated(job)
                self._go(job, "queued")
                self.hold.wait()
                self._go(job, "running")
                self._train(job, examples)
            except Cancelled:
                pass
            except RefusedFile as error:
                job.state, job.reason = "failed", str(error)

    def _go(self, job: Job, state: str) -> None:
        """Put a job into its next state, unless it was cancelled."""
        with self.state:
            if job.state == "cancelled":
                raise Cancelled
            job.state = state

    def _validated(self, job: Job) -> list[Any]:
        for word, reason in self.fail.items():
            if word in json.dumps(job.about):
                raise RefusedFile(reason)
        return self.examples(job.file)

    def _train(self, job: Job, examples: list[Any]) -> None:
        def on_progress(done: int, total: int) -> None:
            if job.state == "cancelled":
                raise Cancelled

        start = self.names[job.start]
        learner = Learner(examples, seed=job.settings.pop("seed", 0), start_from=self.folder / start if start else None)
        (trained,) = finetune(*self.trainable, [learner], Sft(**job.settings), on_progress)
        with self.state:
            (self.folder / job.id).mkdir()
            trained.save(self.folder / job.id)
            self._go(job, "succeeded")
            self.names[job.model], job.tokens = job.id, trained.tokens
            self.made["models"] += 1

    def examples(self, file: str) -> list[Any]:
        """The conversations of a file, of which only the last turn is learned."""
        found = []
        for number, line in enumerate(self.files[file][1].splitlines(), 1):
            try:
                messages = json.loads(line)["messages"]
                learned = [m.pop("weight", 1) for m in messages if m["role"] == "assistant"]
            except (ValueError, KeyError, TypeError):
                raise RefusedFile(f"Invalid file format. Line {number} is not a conversation.") from None
            if learned[-1:] != [1] or any(learned[:-1]):
                raise RefusedFile(f"Invalid file format. Line {number}: this server learns the last turn alone.")
            found.append(messages)
        if len(found) < self.least:
            raise RefusedFile(
                f"Invalid file format. Training file has {len(found)} example(s), but must have at least "
                f"{self.least} examples"
            )
        return found


@dataclass
class _Asked:
    request: Request
    sampling: Sampling
    said: Completion | None = None


class JobsHandler(Handler):
    """Sends each request to its form; the first part of a form's answer is the status."""

    server: JobsServer

    def do_GET(self) -> None:
        self.do("GET")

    def do_POST(self) -> None:
        self.do("POST")

    def do(self, method: str) -> None:
        from tests import jobs_fireworks, jobs_openai

        parts, length = urlsplit(self.path), int(self.headers.get("content-length", 0))
        content = self.rfile.read(length)
        kind = self.headers.get("content-type", "")
        body = _form(kind, content) if kind.startswith("multipart") else json.loads(content or b"{}")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        server = self.server
        with server.state:
            server.seen.append(Seen(f"{method} {parts.path}", dict(self.headers), body))
        form = jobs_fireworks if "/accounts/" in parts.path or "/inference/" in parts.path else jobs_openai
        if server.key and self.headers.get("authorization") != f"Bearer {server.key}":
            self.answer(401, form.fault("Incorrect API key provided", 401))
            return
        route = f"{method} {parts.path}"
        if server.first[route]:
            server.first[route].popleft()(self)
            return
        if parts.path.endswith("/chat/completions"):
            if body["model"] not in server.names:
                self.answer(404, form.fault(f"The model `{body['model']}` does not exist", 404))
            elif server.faults:
                server.faults.popleft()(self)
            else:
                server.on(route, "before")
                self.chat(body)
                server.on(route, "done")
            return
        server.on(route, "before")
        with server.state:
            status, said = form.answer(server, method, parts.path, query, body)
        server.on(route, "done")
        if server.lose[route]:
            server.lose[route] -= 1
            self.close_connection = True
            return
        self.answer(status, said, content_type="application/json")


def _form(kind: str, content: bytes) -> dict[str, Any]:
    """The fields of a browser's form; the file as (name, content)."""
    message = BytesParser(policy=policy.HTTP).parsebytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + content)
    found: dict[str, Any] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        found[name] = (part.get_filename(), data) if part.get_filename() else data.decode()
    return found


@contextmanager
def jobs_server(base: str, folder: Path, least: int = 10) -> Iterator[JobsServer]:
    """Run a server until the end of the `with` statement.

    Args:
        base: the name of the base model that it trains.
        folder: an empty folder for the adapters.
        least: the smallest number of examples.
    """
    server = JobsServer(base, folder, least)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.end()
        server.shutdown()
        thread.join()
        server.server_close()
