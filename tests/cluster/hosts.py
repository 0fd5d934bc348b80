"""Several hosts on one machine: network namespaces that reach each other over one bridge, and nothing else.

They need root and iproute2. A host has its own interfaces and ports; files and processes are those of the machine.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

NETWORK = "10.213.7"
BRIDGE = "maft0"


@dataclass(frozen=True)
class Host:
    """A network namespace with one address."""

    name: str
    address: str
    cable: str
    """The end of its cable at the bridge."""

    @property
    def on(self) -> list[str]:
        """The start of a command that runs there."""
        return ["ip", "netns", "exec", self.name]

    def cut(self) -> None:
        """Take the host off the network."""
        _ip("link", "set", self.cable, "down")

    def mend(self) -> None:
        """Put it on again."""
        _ip("link", "set", self.cable, "up")


def why_not() -> str | None:
    """Why hosts cannot be made here; None if they can."""
    if shutil.which("ip") is None:
        return "there is no command ip (iproute2)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    made = subprocess.run(["ip", "netns", "add", "maft-probe"], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return made.stderr.strip()
    _ip("netns", "delete", "maft-probe")
    return None


@contextmanager
def hosts(number: int) -> Iterator[list[Host]]:
    """So many hosts, with the addresses 10.213.7.1, .2, ...; they are gone when the context ends."""
    made = [Host(f"maft-{n}", f"{NETWORK}.{n}", f"maft-cable-{n}") for n in range(1, number + 1)]
    _delete(made)
    try:
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("link", "set", BRIDGE, "up")
        for host in made:
            inner = f"{host.cable}i"
            _ip("netns", "add", host.name)
            _ip("link", "add", host.cable, "type", "veth", "peer", "name", inner, "netns", host.name)
            _ip("link", "set", host.cable, "master", BRIDGE, "up")
            for command in (["addr", "add", f"{host.address}/24", "dev", inner], ["link", "set", inner, "up"]):
                _ip("-n", host.name, *command)
            _ip("-n", host.name, "link", "set", "lo", "up")
        yield made
    finally:
        _delete(made)


def _delete(some: Sequence[Host]) -> None:
    for host in some:
        subprocess.run(["ip", "netns", "delete", host.name], capture_output=True, check=False)
    subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
