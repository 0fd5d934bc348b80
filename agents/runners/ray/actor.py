"""What runs in an actor: the base models, loaded once, and the parts of the work that the actor is given."""

import hashlib
import importlib.metadata
import logging
import os
import pickle
import shutil
import socket
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import psutil

import agents
import evaluation
from agents import steps
from agents.engines.base_model import Bases, check_unchanged
from agents.engines.protocol import EngineError
from agents.engines.settings import EngineSettings
from agents.run import Run
from agents.runners.local import Local
from agents.store import Store
from agents.training.learner import write_files

FOLDER = "maft-actor-"
"""The start of the names of actors' folders; the number of the process follows."""
Line = tuple[str, int, str]
"""A record of the log: logger, level, text."""
DECIDE = ("torch", "transformers", "peft")
"""Packages whose version decides results."""


def code_version() -> str:
    """A digest of what decides results: the code of the project, and the versions of the packages in DECIDE."""
    hasher = hashlib.sha256()
    for package in (agents, evaluation):
        root = Path(package.__path__[0])
        for file in sorted(root.rglob("*.py")):
            hasher.update(f"{file.relative_to(root)} ".encode() + hashlib.sha256(file.read_bytes()).digest())
    return f"{hasher.hexdigest()[:12]}, " + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in DECIDE)


def _clear() -> None:
    """Delete the folders of actors that were killed."""
    for folder in Path(gettempdir()).glob(f"{FOLDER}*"):
        owner = folder.name.removeprefix(FOLDER).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


class Actor:
    """Does parts of the work in a process of the cluster. `do` and `heard` are called in two threads.

    Args:
        bases: the base models.
        engine: the engine that samples.
        runner: how this process works.
    """

    def __init__(self, bases: Bases, engine: EngineSettings, runner: Local) -> None:
        # Read when torch is imported. torch.set_num_threads holds for one thread only.
        os.environ["OMP_NUM_THREADS"] = str(runner.threads)
        _clear()
        self.folder = TemporaryDirectory(prefix=f"{FOLDER}{os.getpid()}-")
        self.run = Run(steps=steps, bases=bases, engine=engine, store=Store(Path(self.folder.name)), runner=runner)
        self.state = (0, 1)
        self.lines: deque[Line] = deque()
        for name in ("maft", "agents"):
            logging.getLogger(name).addHandler(_Kept(self.lines))

    def prepare(self, version: str) -> str:
        """Check the code and the base models; return the name of this machine, for messages.

        Args:
            version: the `code_version` of the job.

        Raises:
            EngineError: this machine has other code, so its results could differ.
            BaseModelError: a base model is missing here, or is another one.
        """
        if code_version() != version:
            raise EngineError(f"its code is {code_version()}, and that of the job {version}; install the same on both")
        check_unchanged(self.run.bases)
        self.run.runner.check()
        return socket.gethostname()

    def do(self, pickled: bytes, adapters: Mapping[str, Any]) -> tuple[bytes, list[Line]]:
        """Do the work on one part.

        Args:
            pickled: the pair of the work, a function at the top of a module, and what it is given.
            adapters: by digest, a reference to the files of an adapter that the part needs.

        Returns:
            The pickled pair of True and its result, or of False and what it raised; and what was logged since the last
            call of `heard`.
        """
        import ray

        self.state = (0, 1)
        for sha256, reference in adapters.items():
            if self.run.store.folder(sha256).is_dir():
                continue
            files = ray.get(reference)
            made = self.run.store.put_folder(partial(write_files, files), rows=0)
            if made.sha256 != sha256:
                raise EngineError(f"the adapter {sha256[:12]} arrived as {made.sha256[:12]}")
        work, given = pickle.loads(pickled)  # noqa: S301, from the job's own driver
        try:
            result = True, work(self.run, given, self._tell)
        except Exception as error:  # Whatever it is, the job raises it.
            result = False, error
        return pickle.dumps(result, protocol=5), self._new_lines()

    def heard(self) -> tuple[int, int, list[Line]]:
        """The progress (done, total) of the present part, and what was logged since the last call."""
        return *self.state, self._new_lines()

    def close(self) -> None:
        """Delete the adapters of this actor."""
        self.folder.cleanup()

    def _new_lines(self) -> list[Line]:
        return [self.lines.popleft() for _ in range(len(self.lines))]

    def _tell(self, done: int, total: int) -> None:
        self.state = (done, total)


class _Kept(logging.Handler):
    """Keeps warnings, so that the job can log them: nobody reads the log of an actor."""

    def __init__(self, lines: deque[Line]) -> None:
        super().__init__(logging.WARNING)
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.lines.append((record.name, record.levelno, record.getMessage()))
