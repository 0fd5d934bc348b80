"""A small Hugging Face hub on this machine: the endpoints that fetching a model uses."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Files = dict[str, bytes]


class Hub(ThreadingHTTPServer):
    """Serves models by `org/name`: commits with their files, and branches that name a commit."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.commits: dict[tuple[str, str], Files] = {}
        self.branches: dict[tuple[str, str], str] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def push(self, model: str, folder: Path, branch: str = "main") -> str:
        """Make a folder's files the newest commit of a branch; return the commit."""
        files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        commit = hashlib.sha1(json.dumps({name: _etag(name, content) for name, content in files.items()}).encode())
        self.commits[model, commit.hexdigest()] = files
        self.branches[model, branch] = commit.hexdigest()
        return commit.hexdigest()


def _etag(name: str, content: bytes) -> str:
    """The SHA-256 of a large file, and the digest in git of others."""
    if name.endswith(".safetensors"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        match path.strip("/").split("/"):
            case ["api", "models", org, name, "revision", revision]:
                self._info(f"{org}/{name}", revision)
            case ["api", "models", org, name, "tree", revision]:
                self._tree(f"{org}/{name}", revision)
            case [org, name, "resolve", revision, *file]:
                self._file(f"{org}/{name}", revision, "/".join(file))
            case _:
                self._say(404, b"{}")

    do_HEAD = do_GET

    def _found(self, model: str, revision: str) -> tuple[str, Files] | None:
        commit = self.server.branches.get((model, revision), revision)
        files = self.server.commits.get((model, commit))
        if files is None:
            known = any(model == each for each, _ in self.server.commits)
            self._say(404, b"{}", {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"})
            return None
        return commit, files

    def _info(self, model: str, revision: str) -> None:
        if found := self._found(model, revision):
            listed = [{"rfilename": name} for name in found[1]]
            self._say(200, json.dumps({"id": model, "sha": found[0], "siblings": listed}).encode())

    def _tree(self, model: str, revision: str) -> None:
        if found := self._found(model, revision):
            entries = []
            for name, content in found[1].items():
                large = {"lfs": {"oid": _etag(name, content), "size": len(content), "pointerSize": 130}}
                own = {"type": "file", "path": name, "size": len(content), "oid": _etag(name, content)}
                entries.append({**own, **(large if name.endswith(".safetensors") else {})})
            self._say(200, json.dumps(entries).encode())

    def _file(self, model: str, revision: str, name: str) -> None:
        if found := self._found(model, revision):
            content = found[1].get(name)
            if content is None:
                self._say(404, b"", {"X-Error-Code": "EntryNotFound"})
            else:
                self._say(200, content, {"ETag": f'"{_etag(name, content)}"', "X-Repo-Commit": found[0]})

    def _say(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for header, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub, until the context ends."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
