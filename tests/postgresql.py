"""A real PostgreSQL server for tests, of Debian's package, in a folder of its own."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

PASSWORD = "p@ss/w:rd?of#postgres"
DATABASES = ("prefect", "mlflow")


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, which Debian keeps off the path."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), *map(Path, filter(None, [shutil.which("initdb")]))]
    return found[-1].resolve().parent if found else None


def why_not() -> str | None:
    """Why the server cannot be started here; None if it can."""
    if programs() is None:
        return "no initdb; apt-get install postgresql"
    if os.getuid() == 0 and "postgres" not in {each.pw_name for each in pwd.getpwall()}:
        return "PostgreSQL does not run as root, and there is no user postgres"
    return None


@contextmanager
def postgresql(port: int, on: Sequence[str] = ()) -> Iterator[str]:
    """user:password@host:port of a server with the databases prefect and mlflow, empty, on loopback.

    Args:
        port: its port.
        on: the start of a command that runs on another host, see `tests.cluster.hosts`.
    """
    place = programs()
    assert place is not None
    # The server must not run as root, and its user must be able to reach the folder.
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    folder = Path(subprocess.check_output([*as_user, "mktemp", "-d", "/tmp/maft-postgres-XXXXXX"], text=True).strip())

    def run(*command: str) -> None:
        subprocess.run([*on, *as_user, *command], check=True, cwd="/", capture_output=True, timeout=120)

    secret, data = folder / "secret", str(folder / "data")
    run("sh", "-c", f"umask 77; printf '%s' '{PASSWORD}' > {secret}")
    run(f"{place}/initdb", "-D", data, "-U", "maft", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    try:
        run(f"{place}/pg_ctl", "-D", data, "-w", "-l", f"{folder}/log", "-o", options, "start")
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        for name in DATABASES:
            command = [*on, f"{place}/createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "maft", name]
            subprocess.run(command, env=environment, check=True, capture_output=True)
        yield f"maft:{quote(PASSWORD, safe='')}@127.0.0.1:{port}"
    finally:
        run(f"{place}/pg_ctl", "-D", data, "-m", "immediate", "stop")
        run("rm", "-r", str(folder))
