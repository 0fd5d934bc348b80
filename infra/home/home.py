"""The home folder: everything that maft writes, and nothing outside it.

prefect/         database, settings and web pages of the Prefect server
mlflow/          database and artifacts of the MLflow server
results/         records of finished tasks; what makes a killed run resume
artifacts/       datasets, transcripts and adapters by SHA-256
pictures/        plots, and the pages of benchmarks
slots/           which process is at work on a society
logs/            output of the servers and of the worker
servers.json     the servers and the worker that run for this home
"""

import os
from dataclasses import dataclass
from pathlib import Path

from infra.errors import UserError

DEFAULT = ".maft"


@dataclass(frozen=True)
class Home:
    """Names of what lies under one folder. `Home.open` also makes sure that it can be written to."""

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> "Home":
        """The home at `path`, created with its folders where they are missing.

        Args:
            path: the folder, absolute or relative to the working folder; `~` is the user's own.

        Raises:
            UserError: it is no folder, cannot be created or not be written to. Nothing is left behind then.
        """
        try:
            home = cls(Path(path).expanduser().resolve())
        except (RuntimeError, OSError, ValueError) as error:
            raise _refused(Path(path), f"not a usable path: {error}") from error
        nearest = next(p for p in (home.path, *home.path.parents) if os.path.lexists(p))
        if not nearest.is_dir():
            raise _refused(home.path, f"{nearest} is a file, not a folder")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise _refused(home.path, f"no permission to write in {nearest}")
        home._create(nearest)
        return home

    def _create(self, nearest: Path) -> None:
        above = [p for p in (self.path, *self.path.parents) if nearest in p.parents]
        created: list[Path] = []
        try:
            for folder in (*reversed(above), *self._folders()):
                if not folder.is_dir():
                    folder.mkdir(exist_ok=True)
                    created.append(folder)
                elif not os.access(folder, os.W_OK | os.X_OK):
                    raise PermissionError(f"no permission to write in {folder}")
        except OSError as error:
            for folder in reversed(created):
                folder.rmdir()
            raise _refused(self.path, str(error)) from error

    def _folders(self) -> tuple[Path, ...]:
        return (
            self.prefect,
            self.mlflow,
            self.mlflow_artifacts,
            self.results,
            self.artifacts,
            self.pictures,
            self.slots,
            self.logs,
        )

    @property
    def prefect(self) -> Path:
        """PREFECT_HOME of the server and of every client."""
        return self.path / "prefect"

    @property
    def mlflow(self) -> Path:
        """Database and artifacts of the MLflow server."""
        return self.path / "mlflow"

    @property
    def mlflow_artifacts(self) -> Path:
        """Where the MLflow server keeps what runs and models upload."""
        return self.mlflow / "artifacts"

    @property
    def results(self) -> Path:
        """Results that Prefect persists, one JSON file a task."""
        return self.path / "results"

    @property
    def artifacts(self) -> Path:
        """The content-addressed store, see `agents.store`."""
        return self.path / "artifacts"

    @property
    def pictures(self) -> Path:
        """Plots and pages, named by society and job."""
        return self.path / "pictures"

    @property
    def slots(self) -> Path:
        """Notes of `infra.operation.one_run_per_society`, one file per society that is at work."""
        return self.path / "slots"

    @property
    def logs(self) -> Path:
        """Output of the servers and the worker: `prefect.log`, `mlflow.log`, `worker.log`."""
        return self.path / "logs"

    @property
    def servers_file(self) -> Path:
        """The servers that `infra.operation.servers.up` started, as JSON; missing while there are none."""
        return self.path / "servers.json"

    @property
    def servers_lock(self) -> Path:
        """Locked while servers of this home are started or stopped."""
        return self.path / "servers.lock"


def current_home() -> Home:
    """The home of this process: MAFT_HOME, or `.maft` in the working folder.

    Raises:
        UserError: as `Home.open`.
    """
    return Home.open(os.environ.get("MAFT_HOME") or DEFAULT)


def _refused(path: Path, why: str) -> UserError:
    return UserError(
        f"home folder {path}: {why}; name a folder that can be created and written to with --home or MAFT_HOME"
    )
