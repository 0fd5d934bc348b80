"""The home folder, which holds everything that maft writes.

prefect/         database, settings and web pages of the Prefect server
mlflow/          database and artifacts of the MLflow server
results/         results of finished tasks, from which a killed run resumes
artifacts/       datasets, transcripts and adapters by SHA-256
pictures/        plots, and the pages of benchmarks
slots/           notes that say which process works on a society
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
    """The paths in a home folder. `Home.open` also checks that the folder can be written to."""

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> "Home":
        """The home at `path`; missing folders are created.

        Args:
            path: the folder, absolute or relative to the working folder; `~` is the user's home directory.

        Raises:
            UserError: the path is not a folder, or cannot be created or written to. No new folders are left behind.
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
        """The folder where the MLflow server stores the files of runs and models."""
        return self.mlflow / "artifacts"

    @property
    def results(self) -> Path:
        """The results that Prefect stores, one JSON file per task."""
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
        """The notes of `infra.operation.one_run_per_society`, one file per society that has a run."""
        return self.path / "slots"

    @property
    def logs(self) -> Path:
        """Output of the servers and the worker: `prefect.log`, `mlflow.log`, `worker.log`."""
        return self.path / "logs"

    @property
    def servers_file(self) -> Path:
        """The running servers and worker of this home, as JSON; missing while none run."""
        return self.path / "servers.json"

    @property
    def servers_lock(self) -> Path:
        """A file that is locked while servers of this home are started or stopped."""
        return self.path / "servers.lock"


def current_home() -> Home:
    """The home of this process: MAFT_HOME, or `.maft` in the working folder.

    Raises:
        UserError: as in `Home.open`.
    """
    return Home.open(os.environ.get("MAFT_HOME") or DEFAULT)


def _refused(path: Path, why: str) -> UserError:
    return UserError(
        f"home folder {path}: {why}; name a folder that can be created and written to with --home or MAFT_HOME"
    )
