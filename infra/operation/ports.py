"""Chooses the loopback port of a server."""

import os
import socket
from collections.abc import Callable, Iterable, Sequence

import psutil

from infra.errors import UserError
from infra.operation.environment import LOOPBACK


def chosen_ports(variables: Iterable[str]) -> dict[str, int]:
    """The ports that the user set, by environment variable; variables that are not set are left out.

    Raises:
        UserError: a value is not a port from 1024 to 65535, or two ports are the same.
    """
    chosen: dict[str, int] = {}
    for variable in variables:
        text = os.environ.get(variable, "").strip()
        if not text:
            continue
        if not (text.isascii() and text.isdecimal() and 1024 <= int(text) <= 65535):
            raise UserError(f"{variable} is {text!r}; set it to a port from 1024 to 65535, or unset it")
        for other, port in chosen.items():
            if port == int(text):
                raise UserError(f"{other} and {variable} are both {port}; set two different ports")
        chosen[variable] = int(text)
    return chosen


def chosen_port(variable: str, port: int) -> int:
    """Return the port that the user chose with this variable, once it is known to be free.

    Raises:
        UserError: another program uses the port.
    """
    if user := occupant(port):
        raise UserError(
            f"{variable} is {port}, but port {port} is in use by {user}; stop that program, "
            f"set {variable} to a free port, or unset it so that maft chooses a free one"
        )
    return port


def free_port(candidates: Sequence[int], variable: str, title: str, say: Callable[[str], None]) -> int:
    """The first candidate that is free.

    Args:
        variable: the environment variable that sets the port, for the error message.
        title: name of the server, for messages.
        say: called with a line for the user if the first candidate is in use.

    Raises:
        UserError: no candidate is free.
    """
    for port in candidates:
        if occupant(port) is None:
            if port != candidates[0]:
                say(f"port {candidates[0]} is in use by {occupant(candidates[0])}: {title} takes port {port}")
            return port
    raise UserError(
        f"no port is free for {title}: {min(candidates)} to {max(candidates)} are all in use; set {variable} to another"
    )


def occupant(port: int) -> str | None:
    """The program that listens on a loopback port, as far as this user may see it; None if the port is free."""
    with socket.socket() as probe, socket.socket() as binder:
        probe.settimeout(1.0)
        binder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # On macOS, bind succeeds even if another program listens on all addresses, so connect first.
        if probe.connect_ex((LOOPBACK, port)) != 0:
            try:
                binder.bind((LOOPBACK, port))
                return None
            except OSError:
                pass
    try:
        listening = (c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
        pid = next(c.pid for c in listening if c.pid and getattr(c.laddr, "port", None) == port)
        return f"{psutil.Process(pid).name()} (pid {pid})"
    except (psutil.Error, StopIteration):
        return "another program"
