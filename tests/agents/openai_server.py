"""A real HTTP server with OpenAI's API: it answers with the transformers engine, and fails if a test wants that."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agents.engines.openai import OpenAISettings
from agents.engines.openai.engine import OpenAIEngine
from agents.engines.protocol import Completion, EngineError, Request, Sampling
from agents.engines.transformers.engine import TransformersEngine
from tests.agents.engine_samples import GREEDY, quiet, requests

ONE, TWO, THREE = (letter * 64 for letter in "abc")
"""Names of adapters, in place of their SHA-256."""
CHAT, LOAD, MODELS = "/v1/chat/completions", "/v1/load_lora_adapter", "/v1/models"


@dataclass
class Seen:
    """A request that the server received."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@contextmanager
def serving(engine: TransformersEngine) -> Iterator["OpenAIServer"]:
    """Run a server until the end of the `with` statement."""
    server = OpenAIServer(engine)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


Fault = Callable[["Handler"], None]


class OpenAIServer(ThreadingHTTPServer):
    """Answers as a vLLM server does, except that each of `faults` replaces the answer to one chat completion."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, engine: TransformersEngine) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.engine = engine
        self.turn = threading.Lock()
        self.calm()

    def calm(self) -> None:
        """Reset the server: no adapters, no faults, no requests."""
        self.models: dict[str, str | None] = {"base": None}
        self.can_load = True
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.seen: list[Seen] = []
        self.under_way = self.most_under_way = 0
        self.released = threading.Event()
        self.gather: threading.Barrier | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def asked(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == path]

    def say(self, body: dict[str, Any]) -> Completion:
        sampling = Sampling(temperature=body["temperature"], top_p=body["top_p"])
        adapter = None if self.models[body["model"]] is None else body["model"]
        with self.turn:
            asked = Request(body["messages"], adapter, body["seed"], body["max_tokens"])
            return self.engine.complete([asked], sampling, quiet)[0]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: in some tests the client closes the connection."""


class Handler(BaseHTTPRequestHandler):
    server: OpenAIServer
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: object, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.server.seen.append(Seen(self.path, dict(self.headers), {}))
        models = [{"id": name, "object": "model", "parent": parent} for name, parent in self.server.models.items()]
        self.answer(200, {"object": "list", "data": models})

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with server.turn:
            server.seen.append(Seen(self.path, dict(self.headers), body))
            server.under_way += 1
            server.most_under_way = max(server.most_under_way, server.under_way)
        try:
            if self.path == LOAD and server.can_load:
                self.load(body)
            elif self.path == CHAT:
                fault = server.faults.popleft() if server.faults else server.always
                fault(self) if fault else self.chat(body)
            else:
                self.answer(404, {"detail": "Not Found"})
        finally:
            with server.turn:
                server.under_way -= 1

    def load(self, body: dict[str, Any]) -> None:
        name, path = body["lora_name"], body["lora_path"]
        if name in self.server.models:
            self.answer(400, {"error": {"message": f"The lora adapter '{name}' has already been loaded."}})
        elif path != str(self.server.engine.adapters / name):
            self.answer(404, {"error": {"message": f"No adapter found for {path}"}})
        else:
            self.server.models[name] = "base"
            self.answer(200, f"Success: LoRA adapter '{name}' added successfully.".encode())

    def chat(self, body: dict[str, Any]) -> None:
        if self.server.gather:
            self.server.gather.wait(timeout=60)
        said = self.server.say(body)
        if said.prompt_tokens > self.server.engine.context:
            self.answer(400, {"error": {"message": "This model's maximum context length is 4096 tokens."}})
            return
        message = {"role": "assistant", "content": f" {said.text}\n"}
        choice = {"index": 0, "message": message, "finish_reason": "stop" if said.finished else "length"}
        usage = {"prompt_tokens": said.prompt_tokens, "completion_tokens": said.sampled_tokens}
        self.answer(200, {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": usage})

    def log_message(self, *arguments: object) -> None:
        """Print nothing to standard error."""


def status(code: int, body: object = None, **headers: str) -> Fault:
    return lambda handler: handler.answer(code, body if body is not None else {"error": "told to"}, **headers)


def hang(handler: Handler) -> None:
    """Do not answer until the test releases the server."""
    handler.server.released.wait(timeout=120)
    handler.close_connection = True


def drop(handler: Handler) -> None:
    """Close the connection in the middle of an answer."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")
    handler.close_connection = True


def engine(server: OpenAIServer, **settings: object) -> OpenAIEngine:
    given = {"url": server.url, "concurrency": 4, "timeout_seconds": 60.0, **settings}
    return OpenAIEngine(OpenAISettings(**given), server.engine.adapters)


def failure(server: OpenAIServer, asked: list[Request] | None = None, **settings: object) -> str:
    """The error message of the engine for a server that it cannot use."""
    with pytest.raises(EngineError) as caught:
        engine(server, **settings).complete(asked or requests(1, tokens=5), GREEDY, quiet)
    return str(caught.value)
