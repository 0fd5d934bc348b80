"""Nodes of a Ray cluster, started by `maft cluster`: on this machine, or on hosts of `tests.cluster.hosts`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.conftest import ROOT, free_port

START_SECONDS = 90


@dataclass
class Node:
    """A process of `maft cluster head` or `maft cluster join`, and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait(self, words: str, times: int = 1) -> "Node":
        """Wait until the log has these words so many times."""
        deadline = time.monotonic() + START_SECONDS
        while self.log.read_text("utf-8").count(words) < times:
            assert self.process.poll() is None, self.log.read_text("utf-8")
            assert time.monotonic() < deadline, self.log.read_text("utf-8")
            time.sleep(0.1)
        return self

    def daemons(self, name: str) -> list[psutil.Process]:
        """Processes of this name that the node has started."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [each for each in below if name in each.name()]

    def kill(self) -> None:
        """End everything of the node at once, as when its machine loses power."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        for each in [psutil.Process(self.process.pid), *below]:
            each.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the node as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)


class Cluster:
    """A head without room for actors, and nodes that join it.

    Args:
        folder: for logs.
        address: the head's address; None for that of this machine.
        on: the start of the head's command, such as `ip netns exec NAME`.
    """

    def __init__(self, folder: Path, address: str | None = None, on: Sequence[str] = ()) -> None:
        from infra.operation.ray_node import own_address

        self.folder, self.nodes = folder, list[Node]()
        self.host, self.port, self.on = address or own_address(), free_port(), on
        self.head = self.start_head()

    @property
    def address(self) -> str:
        """HOST:PORT of the head."""
        return f"{self.host}:{self.port}"

    def start_head(self) -> Node:
        """Start the head and wait for it."""
        options = ["head", "--address", self.host, "--port", str(self.port), "--cpus", "0"]
        self.head = self._start("head", options, self.on).wait("this machine is the head")
        return self.head

    def join(self, address: str | None = None, on: Sequence[str] = (), path: Path = ROOT) -> Node:
        """Start a node with room for one actor, whose Python looks here first; it is there a few seconds later."""
        options = ["join", self.address, "--address", address or self.host, "--cpus", "1"]
        return self._start(f"node-{len(self.nodes)}", options, on, path)

    def stop(self) -> None:
        """End all nodes."""
        for node in reversed(self.nodes):
            node.stop()

    def _start(self, name: str, options: Sequence[str], on: Sequence[str], path: Path = ROOT) -> Node:
        log = self.folder / f"{name}.log"
        environment = {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}", "COLUMNS": "400"}
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*on, sys.executable, "-m", "infra", "cluster", *options], env=environment, stdout=file, stderr=file
            )
        node = Node(process, log)
        self.nodes.append(node)
        return node
