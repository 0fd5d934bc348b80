"""SkyRL's server of Tinker's API on a base model: a real peer, in an environment of its own (`make test-tinker`)."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-skyrl" / "bin" / "python"
START_SECONDS = 180.0


class SkyRL:
    """A server on this machine.

    Args:
        folder: where it keeps its database, its checkpoints and its log.
        base: the folder of the base model.
        adapters: how many adapters it holds at a time, the base's own place included; each makes every step slower.
        rank: their largest rank, which makes every step slower too.
        rows: how many responses it samples at a time; it takes as long for fewer.
    """

    def __init__(self, folder: Path, base: Path, *, adapters: int = 48, rank: int = 16, rows: int = 8) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = folder / "tinker.db"
        backend = {"max_lora_adapters": adapters, "max_lora_rank": rank, "sample_max_num_sequences": rows}
        here = Path(__file__).parent
        environment = {
            **os.environ,
            "PATH": f"{here}:{os.environ['PATH']}",
            "SKYRL_PYTHON": str(PYTHON),
            "JAX_PLATFORMS": "cpu",
            "HF_HUB_OFFLINE": "1",
        }
        arguments = {
            "--base-model": str(base),
            "--host": "127.0.0.1",
            "--port": str(self.port),
            "--database-url": f"sqlite:///{self.database}",
            "--checkpoints-base": str(folder / "checkpoints"),
            "--backend-config": json.dumps(backend),
            # Without its model in memory, this server cannot sample from saved weights.
            "--session-timeout-sec": "-1",
        }
        flat = [part for pair in arguments.items() for part in pair]
        with (folder / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(here / "uv"), "run", "--", "-m", "skyrl.tinker.api", *flat],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                httpx.get(f"{self.url}/api/v1/healthz").raise_for_status()
                return
            except httpx.HTTPError:
                time.sleep(0.2)
        self.close()
        raise RuntimeError(f"the server did not start:\n{self.log[-3000:]}")

    @property
    def log(self) -> str:
        """All that it printed."""
        return (self.folder / "server.log").read_text("utf-8", "replace")

    def count(self, kind: str) -> int:
        """How many requests of a kind, such as optim_step, it was sent, by its own database."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as database:
            return int(
                database.execute(
                    "select count(*) from futures where upper(request_type) = ?", [kind.upper()]
                ).fetchone()[0]
            )

    def close(self) -> None:
        """End it, with its engine."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
