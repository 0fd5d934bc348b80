"""Makes this machine a node of a Ray cluster: its head, or one that joins the head."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from subprocess import PIPE, STDOUT
from typing import NoReturn

import psutil

from agents.runners.ray import Ray
from agents.runners.ray.environment import HEALTH, has_token, is_address, token_file
from infra.errors import UserError

AGAIN_SECONDS = 5.0
"""The pause before a head or a node that has ended is started again."""
MARK = "MAFT_RAY_NODE"
"""A variable of all processes of a node, by which they are found."""
LAST_LINES = 4
"""Lines of Ray's output that are shown when it has ended."""


def own_address() -> str:
    """The address under which other machines reach this one, by its default route; 127.0.0.1 without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # Sends nothing; this network is for documentation.
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _make_token() -> None:
    """Write a new token, readable for this user alone, unless there is one."""
    file = token_file()
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
            made.write(secrets.token_hex(32))


def run_head(address: str, port: int, *, cpus: int | None, gpus: int | None, say: Callable[[str], None]) -> None:
    """Be the head of a cluster until the process is ended.

    Args:
        address: the address of this machine that the other nodes use.
        port: the port of the head.
        cpus, gpus: what this machine offers to actors; None: what it has.
        say: called with a line whenever the head has started or ended.

    Raises:
        EngineError: Ray is not installed.
    """
    Ray().check()
    _make_token()
    options = ["--head", f"--port={port}", "--include-dashboard=false", *_offer(address, cpus, gpus)]
    _be(options, HEALTH, f"the head of a cluster at {address}:{port}", say)


def run_node(head: str, address: str, *, cpus: int | None, gpus: int | None, say: Callable[[str], None]) -> None:
    """Be a node of a cluster until the process is ended.

    Args:
        head: HOST:PORT of the head.
        address: the address of this machine that the other nodes use.
        cpus, gpus: what this machine offers to actors; None: what it has.
        say: called with a line whenever the node has joined or ended.

    Raises:
        EngineError: Ray is not installed.
        UserError: `head` is no address, or there is no token, or another one.
    """
    if not is_address(head):
        raise UserError(f"the head is {head!r}; it must be HOST:PORT, such as 10.0.0.1:6379")
    Ray().check()
    if not has_token():
        raise UserError(f"there is no token in {token_file()}; copy this file from the head of the cluster")
    _be([f"--address={head}", *_offer(address, cpus, gpus)], {}, f"a node of the cluster at {head}", say)


def _offer(address: str, cpus: int | None, gpus: int | None) -> list[str]:
    offered = {"num-cpus": cpus, "num-gpus": gpus}
    counts = [f"--{name}={count}" for name, count in offered.items() if count is not None]
    return [f"--node-ip-address={address}", *counts]


def _end(mark: str) -> None:
    """End what Ray has left of a node; its daemons are in sessions of their own, but inherit the mark."""
    for process in psutil.process_iter(["environ"]):
        if (process.info["environ"] or {}).get(MARK) == mark:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def _be(options: Sequence[str], variables: Mapping[str, str], what: str, say: Callable[[str], None]) -> NoReturn:
    """Run Ray, and again whenever it ends, until a signal ends this process, and Ray with it.

    Raises:
        UserError: the token is not that of the head.
    """
    mark = secrets.token_hex(16)
    environment = {MARK: mark, "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", **variables, **os.environ}
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", *options]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    say(f"starting Ray, to be {what}")
    while True:
        last = deque(["nothing"], maxlen=LAST_LINES)
        try:
            with subprocess.Popen(command, env=environment, text=True, stdout=PIPE, stderr=STDOUT) as process:
                try:
                    for line in filter(str.strip, process.stdout or ()):
                        last.append(line.rstrip())
                        if "Ray runtime started" in line:
                            say(f"this machine is {what}")
                finally:
                    process.terminate()
        finally:
            _end(mark)
        if any("InvalidAuthToken" in line for line in last):
            raise UserError(f"the token in {token_file()} is not that of the head; copy the head's")
        say(f"this machine is not {what}; trying again in {AGAIN_SECONDS:.0f} s. Ray's last lines:")
        for line in last:
            say(f"  {line}")
        time.sleep(AGAIN_SECONDS)
