"""Both servers on a real PostgreSQL, MLflow's files in a real S3 server, and nowhere a password."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from infra.errors import UserError
from infra.home.home import Home
from infra.operation import environment, processes, servers
from tests.command import Maft, plain_environment
from tests.conftest import free_port
from tests.faults.test_resume import job
from tests.moto_server import PASSWORD as S3_PASSWORD
from tests.moto_server import s3_server
from tests.postgresql import PASSWORD, postgresql, why_not

QUOTED = quote(PASSWORD, safe="")
pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """user:password@host:port of a server with two empty databases."""
    with postgresql(free_port()) as found:
        yield found


def leaks(home: Path, *texts: str) -> list[str]:
    """The files of a home and the texts that have a password."""
    secrets = [secret.encode() for secret in (PASSWORD, QUOTED, S3_PASSWORD)]
    files = {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    files |= {text: text.encode() for text in texts}
    return [name for name, content in files.items() if any(secret in content for secret in secrets)]


def test_a_job_on_postgresql_and_s3(address: str, brief: list[str], tmp_path: Path) -> None:
    with s3_server(free_port()) as s3:
        maft = Maft(
            {
                **plain_environment(),
                **s3.environment,
                "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{address}/prefect",
                "MLFLOW_BACKEND_STORE_URI": f"postgresql://{address}/mlflow",
                "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{s3.bucket}/mlflow",
                "MAFT_STORE": f"s3://{s3.bucket}/store",
                "MAFT_PREFECT_PORT": str(free_port()),
                "MAFT_MLFLOW_PORT": str(free_port()),
                "MAFT_HOME": str(tmp_path),
            },
            forked=True,
        )
        home = Home.open(tmp_path)
        try:
            said = maft("up")
            without = address.replace(f":{QUOTED}", "")
            places = [
                f"postgresql+asyncpg://{without}/prefect",
                f"postgresql://{without}/mlflow",
                f"s3://{s3.bucket}/mlflow",
            ]
            for place in [*places, f"Store    s3://{s3.bucket}/store"]:
                assert place in said.stdout
            done = maft.json(*job(brief, "on-postgresql", tmp_path))
            again = maft.json(*job(brief, "on-postgresql", tmp_path))
            assert again["generations"] == done["generations"] and again["cached"] > done["cached"]
            state = maft.json("status")
            assert state["store"] == {"url": f"s3://{s3.bucket}/store", "answering": True, "fault": ""}
            assert [place for server in state["servers"] for place in server["stores"]] == places
            told = maft("status").stdout
            assert f"store s3://{s3.bucket}/store answers" in told and "society 'on-postgresql' has version" in told
            assert maft.json("prune")["versions"] >= 4
            assert not list((tmp_path / "mlflow").rglob("*.db")) and not list((tmp_path / "prefect").glob("*.db"))
            assert not list(home.mlflow_artifacts.iterdir())
            lines = [" ".join(psutil.Process(record.pid).cmdline()) for record in processes.read_records(home).values()]
            assert leaks(tmp_path, said.stdout, said.stderr, told, str(state), str(done), *lines) == []

            other = {**maft.environment, "MLFLOW_BACKEND_STORE_URI": f"postgresql://{address}/other"}
            refused = replace(maft, environment=other)("up", status=2).stderr
            assert "MLFLOW_BACKEND_STORE_URI is postgresql://maft@127" in refused and "maft down" in refused
            assert leaks(tmp_path, refused) == []

            elsewhere = replace(maft, environment={**maft.environment, "MAFT_STORE": f"file://{tmp_path}/share"})
            before = processes.read_records(home)
            assert "starting the worker" in elsewhere("up").stderr, "the worker uses the store that is named now"
            after = processes.read_records(home)
            assert before["mlflow"] == after["mlflow"] and before["worker"].pid != after["worker"].pid
        finally:
            maft("down")


def test_a_wrong_password_is_said_without_it(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ.keys() - plain_environment().keys():
        monkeypatch.delenv(name)
    wrong = address.replace(QUOTED, f"{QUOTED}-not")
    for variable, url in (
        ("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"postgresql+asyncpg://{wrong}/prefect"),
        ("MLFLOW_BACKEND_STORE_URI", f"postgresql://{wrong}/mlflow"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(variable, url)
            for service in servers.SERVICES:
                patch.setenv(service.port_variable, str(free_port()))
            home = Home.open(tmp_path / variable)
            try:
                with pytest.raises(UserError, match="password authentication failed") as error:
                    servers.up(home)
                assert leaks(home.path, str(error.value)) == []
                assert variable in str(error.value) or "Prefect server ended" in str(error.value)
            finally:
                servers.down(home)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:a@b/c?d@host:5/db", "postgresql://me@host:5/db"),
        ("postgresql://host/db?user=me&password=x", "postgresql://host/db"),
        ("sqlite+aiosqlite:////a/b.db", "sqlite+aiosqlite:////a/b.db"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert environment.without_password(url) == shown


def test_a_database_of_another_kind_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"postgresql://me:{PASSWORD}@host/prefect")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home.open(tmp_path)
    with pytest.raises(UserError, match=r"CONNECTION_URL is postgresql://me@host/prefect; it must begin with") as error:
        servers.up(home)
    assert PASSWORD not in str(error.value) and not home.servers_file.exists()
