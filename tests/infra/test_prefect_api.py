"""Requests to a Prefect server that answers 503 because its database is busy, with a real HTTP server."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from infra.operation.prefect_api import PrefectApi, connect


class Server(ThreadingHTTPServer):
    """Answers with each status in turn, and then always with the last one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = [200]
        self.bodies: list[bytes] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as started:
        threading.Thread(target=started.serve_forever, daemon=True).start()
        yield started
        started.shutdown()


@pytest.fixture
def api(server: Server) -> Iterator[PrefectApi]:
    with connect(f"http://127.0.0.1:{server.server_port}/api") as connected:
        yield connected


def test_a_busy_server_is_asked_again_with_the_same_request(server: Server, api: PrefectApi) -> None:
    server.statuses = [503, 503, 200]
    assert api.post("/flow_runs/filter", json={"limit": 1}).json() == {}
    assert server.bodies == [b'{"limit":1}'] * 3


def test_the_pauses_double_and_the_sixth_refusal_is_the_last(
    monkeypatch: pytest.MonkeyPatch, server: Server, api: PrefectApi
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(PrefectApi.send.retry, "sleep", pauses.append)
    server.statuses = [503]
    with pytest.raises(httpx.HTTPStatusError, match="503"):
        api.post("/flow_runs/filter", json={})
    assert pauses == [0.5, 1, 2, 4, 8]
    assert len(server.bodies) == 6


def test_another_fault_is_raised_at_once(server: Server, api: PrefectApi) -> None:
    server.statuses = [404]
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        api.post("/flow_runs/filter", json={})
    assert len(server.bodies) == 1
