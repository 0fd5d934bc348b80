"""Starts processes that outlive the command that started them, and finds them again.

A process is recorded in the home's servers.json. It also carries a mark in its environment, which its children inherit.
The mark finds children that outlived their parent, and a process whose starter was killed before it wrote the record.
"""

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import psutil

from evaluation.files import write_whole
from infra.errors import UserError
from infra.home.home import Home

STOP_SECONDS = 10.0
"""Time that a process has to end after it was asked to; then it is killed, which does no harm to the databases."""

_MARK = "MAFT_SERVER"


@dataclass(frozen=True)
class StartedProcess:
    """A process that was started for a home."""

    pid: int
    create_time: float
    """Start time of the process, in seconds since 1970."""
    port: int
    url: str
    started: str
    """Time of the start, ISO 8601, UTC."""
    stores: dict[str, str] = field(default_factory=dict)
    """The variables that say where it stores, unless in the home, with their URLs without passwords."""


@contextmanager
def locked(home: Home, say: Callable[[str], None]) -> Iterator[None]:
    """Let one `up` or `down` run at a time; the kernel releases the lock even if its holder is killed."""
    with home.servers_lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another maft starts or stops the servers of {home.path}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_records(home: Home) -> dict[str, StartedProcess]:
    """The records in servers.json by the name of the process; empty without the file.

    Raises:
        UserError: servers.json is damaged.
    """
    try:
        text = home.servers_file.read_text()
    except FileNotFoundError:
        return {}
    try:
        return {name: StartedProcess(**fields) for name, fields in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{home.servers_file} is damaged ({error}); delete it and run the command again") from error


def write_records(home: Home, records: dict[str, StartedProcess]) -> None:
    """Replace servers.json as a whole, or not at all."""
    text = json.dumps({name: asdict(record) for name, record in records.items()}, indent=2)
    write_whole(home.servers_file, f"{text}\n".encode())


def start(
    home: Home, name: str, command: list[str], environment: dict[str, str], port: int, url: str
) -> StartedProcess:
    """Start a command in the home folder, in a new session, with its output appended to the log NAME.log of the home.

    Args:
        environment: all its environment variables; the mark is added.
        port, url: stored in the record.
    """
    with log_file(home, name).open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=home.path,
            env={**environment, _MARK: _mark(home, name)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # The process is meant to outlive this one; without a return code, Popen would warn about that.
    process.returncode = 0
    created = psutil.Process(process.pid).create_time()
    return StartedProcess(process.pid, created, port, url, datetime.now(UTC).isoformat(timespec="seconds"))


def become(home: Home, name: str, command: list[str], environment: dict[str, str]) -> NoReturn:
    """Go on as this command in the home folder, so that whoever supervises this process supervises the command.

    Args:
        environment: as for `start`.
    """
    os.chdir(home.path)
    os.execve(command[0], command, {**environment, _MARK: _mark(home, name)})  # noqa: S606


def leader(home: Home, name: str, record: StartedProcess | None) -> psutil.Process | None:
    """The recorded process; None if it has ended, even if another process now has its pid."""
    if record is None:
        return None
    try:
        process = psutil.Process(record.pid)
        if has_ended(process):
            return None
        # One match is enough: start times shift when the clock is set, and not every system shows environments.
        same = abs(process.create_time() - record.create_time) < 1.0 or _has_mark(process, _mark(home, name))
        return process if same else None
    except psutil.Error:
        return None


def members(home: Home, name: str, record: StartedProcess | None) -> list[psutil.Process]:
    """All living processes of this name, recorded or not."""
    found = [process for process in psutil.process_iter() if _has_mark(process, _mark(home, name))]
    first = leader(home, name, record)
    if first is not None and first not in found:
        found += [first, *first.children(recursive=True)]
    return found


def listening_ports(process: psutil.Process) -> set[int]:
    """TCP ports on which a process or one of its children listens; none if the process has ended."""
    try:
        family = [process, *process.children(recursive=True)]
        connections = [connection for member in family for connection in member.net_connections("tcp")]
    except psutil.Error:
        return set()
    return {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}


def stop(processes: list[psutil.Process]) -> None:
    """Ask processes to end, and kill those that still run after STOP_SECONDS."""
    for signal in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                signal(process)
        deadline = time.monotonic() + STOP_SECONDS
        while processes and time.monotonic() < deadline:
            _, running = psutil.wait_procs(processes, timeout=0.1)
            processes = [process for process in running if not has_ended(process)]


def has_ended(process: psutil.Process) -> bool:
    """Whether a process has ended, even if its parent has never asked for its status, as some containers' first one."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def log_file(home: Home, name: str) -> Path:
    """The file that holds the output of a process."""
    return home.logs / f"{name}.log"


def log_tail(home: Home, name: str, lines: int = 12) -> str:
    """The name of a process's log file, and below it the last lines of the log, indented."""
    path = log_file(home, name)
    last = path.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join([f"the end of {path}:", *(f"    {line}" for line in last)])


def _mark(home: Home, name: str) -> str:
    return f"{name}@{home.path}"


def _has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return bool(process.environ().get(_MARK) == mark)
    except psutil.Error:
        return False
