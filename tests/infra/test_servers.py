"""The real servers of one home, which all tests of this file share, so their order matters.

pytest tests/infra/test_servers.py       # about a minute on two cores
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from infra.errors import UserError
from infra.home.home import Home
from infra.operation import ports, processes, servers
from infra.operation.environment import LOOPBACK

VARIABLES = [variable for service in servers.SERVICES for variable in (service.url_variable, service.port_variable)]
SMALL_SERVER = """
import http.server, sys, time
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK")
time.sleep(0.5)
at = (sys.argv[sys.argv.index("--host") + 1], int(sys.argv[sys.argv.index("--port") + 1]))
http.server.HTTPServer(at, Healthy).serve_forever()
"""
UP = """
import sys
from infra.home.home import Home
from infra.operation import servers
print(servers.up(Home.open(sys.argv[1])))
"""
NAMES = [service.name for service in servers.SERVICES]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def up_elsewhere(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", UP, str(path)], stdout=subprocess.PIPE, text=True)


def pids(home: Home) -> dict[str, int]:
    return {name: record.pid for name, record in processes.read_records(home).items()}


@pytest.fixture(autouse=True)
def nothing_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="module")
def first_up() -> dict[str, float]:
    """Under the key "seconds", the time that the first start took."""
    return {}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, first_up: dict[str, float]) -> Iterator[Home]:
    """A home whose first `up` was killed right after it started the servers; then two `up` at once found them."""
    path = tmp_path_factory.mktemp("a #home%41 ü") / "below" / "here"
    home = Home.open(path)
    with pytest.MonkeyPatch.context() as patch:
        for service in servers.SERVICES:
            patch.delenv(service.url_variable, raising=False)
            patch.setenv(service.port_variable, str(free_port()))
        try:
            begin = time.monotonic()
            killed = up_elsewhere(path)
            while len(pids(home)) < len(NAMES):
                assert killed.poll() is None
                time.sleep(0.02)
            killed.kill()
            killed.communicate()
            started = pids(home)
            pair = [up_elsewhere(path), up_elsewhere(path)]
            said = [process.communicate()[0] for process in pair]
            assert [process.returncode for process in pair] == [0, 0] and said[0] == said[1] != ""
            assert pids(home) == started
            first_up["seconds"] = time.monotonic() - begin
            patch.undo()
            yield home
        finally:
            servers.down(home)


def test_second_up_is_quick_and_changes_nothing(home: Home, first_up: dict[str, float]) -> None:
    before, heard = home.servers_file.read_bytes(), list[str]()
    begin = time.monotonic()
    found = servers.up(home, heard.append)
    assert time.monotonic() - begin < first_up["seconds"] / 8
    assert home.servers_file.read_bytes() == before and heard == []
    assert httpx.get(f"{found.prefect_api_url}/health").json() is True
    assert httpx.get(f"{found.mlflow_tracking_uri}/health").text == "OK"


def test_starting_them_imports_neither_server_nor_torch() -> None:
    code = "import sys, infra.operation.servers; print(*{'prefect', 'mlflow', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_status_of_running_servers(home: Home) -> None:
    states = servers.status(home)
    assert [state.name for state in states] == NAMES
    assert all(state.running and state.answering and state.started_by_us and state.since for state in states)
    assert {state.name: state.pid for state in states} == pids(home)


def test_they_run_on_the_fast_event_loop(home: Home) -> None:
    for name, record in processes.read_records(home).items():
        members = processes.members(home, name, record)
        assert any("uvloop" in part.path for p in members for part in p.memory_maps()), name


def test_they_listen_on_loopback_only(home: Home) -> None:
    for name, record in processes.read_records(home).items():
        members = processes.members(home, name, record)
        bound = [c.laddr for p in members for c in p.net_connections("all") if c.status == psutil.CONN_LISTEN]
        inet = {(address.ip, address.port) for address in bound if address}
        assert inet == {(LOOPBACK, record.port)}


def test_pages_call_the_api_of_their_own_server(home: Home) -> None:
    found = servers.up(home)
    settings = httpx.get(f"{found.prefect_ui_url}/ui-settings").json()
    assert settings["api_url"] == found.prefect_api_url
    page = httpx.get(f"{found.prefect_ui_url}/", headers={"Accept": "text/html"}, follow_redirects=True)
    assert page.status_code == 200 and "<html" in page.text
    stranger = {"Origin": "http://stranger.example", "Access-Control-Request-Method": "POST"}
    assert httpx.options(f"{found.prefect_api_url}/flows/", headers=stranger).status_code == 400


def test_clients_keep_everything_in_the_home(home: Home, tmp_path: Path) -> None:
    found = servers.up(home)
    code = """if True:
        import sys
        from infra.home.home import Home, current_home
        from infra.operation.environment import apply_environment
        apply_environment(Home.open(sys.argv[1]), sys.argv[2], sys.argv[3])
        import mlflow
        from prefect import flow, task
        from prefect.settings import get_current_settings
        settings = get_current_settings()
        assert current_home().path == Home.open(sys.argv[1]).path
        assert settings.home == current_home().prefect and settings.results.default_serializer == "json"
        assert not settings.server.analytics_enabled
        apply_environment(current_home(), sys.argv[2], sys.argv[3])
        one = task(lambda: 1, name="one", persist_result=True, result_storage_key="one")
        assert flow(lambda: one(), name="uno")() == 1
        with mlflow.start_run():
            mlflow.log_text("kept", "note.txt")
    """
    arguments = [str(home.path), found.prefect_api_url, found.mlflow_tracking_uri]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(servers.__file__).parents[1]), "PREFECT_LOCAL_STORAGE_PATH": "/else"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "View run" not in done.stdout + done.stderr
    assert json.loads((home.results / "one").read_text())["metadata"]["serializer"]["type"] == "json"
    assert [path.read_text() for path in home.mlflow_artifacts.rglob("note.txt")] == ["kept"]
    assert list(tmp_path.iterdir()) == []


def test_servers_of_the_user_are_used(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = servers.up(home)
    monkeypatch.setenv("PREFECT_API_URL", found.prefect_api_url + "/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", found.mlflow_tracking_uri)
    other = Home.open(tmp_path)
    assert servers.up(other) == found
    assert [(state.answering, state.started_by_us) for state in servers.status(other)] == [(True, False)] * 2
    assert servers.down(other) == [] and servers.up(home) == found


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("PREFECT_API_URL", "http://127.0.0.1:{free}/api", "refused"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:{free}", "refused"),
        ("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db", "http"),
        ("PREFECT_API_URL", "{mlflow}", "answers 200 'OK'"),
        ("PREFECT_API_URL", "{prefect_ui}", "answers 404"),
    ],
)
def test_unreachable_server_of_the_user(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, fault: str
) -> None:
    found = servers.up(home)
    url = value.format(free=free_port(), mlflow=found.mlflow_tracking_uri, prefect_ui=found.prefect_ui_url)
    monkeypatch.setenv(variable, url)
    with pytest.raises(UserError, match=fault) as error:
        servers.up(Home.open(tmp_path))
    assert variable in str(error.value) and url in str(error.value)
    assert not Home.open(tmp_path).servers_file.exists()


def test_chosen_port_in_use(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = processes.read_records(home)["mlflow"]
    monkeypatch.setenv("PREFECT_API_URL", servers.up(home).prefect_api_url)
    monkeypatch.setenv("MAFT_MLFLOW_PORT", str(record.port))
    with pytest.raises(UserError, match=rf"MAFT_MLFLOW_PORT is {record.port}.* in use by .*pid \d+"):
        servers.up(Home.open(tmp_path))
    assert not Home.open(tmp_path).servers_file.exists()


def test_chosen_port_of_a_running_server(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAFT_PREFECT_PORT", str(free_port()))
    with pytest.raises(UserError, match=r"runs on port .* already"):
        servers.up(home)


@pytest.mark.parametrize("text", ["80", "65536", "http", "-1", "٤٢٠٠"])
def test_chosen_port_is_a_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MAFT_PREFECT_PORT", text)
    with pytest.raises(UserError, match=r"MAFT_PREFECT_PORT is .* from 1024 to 65535"):
        servers.up(Home.open(tmp_path))


def test_same_port_chosen_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for service in servers.SERVICES:
        monkeypatch.setenv(service.port_variable, "4321")
    with pytest.raises(UserError, match="both 4321"):
        servers.up(Home.open(tmp_path))


def test_busy_default_port_is_passed_over() -> None:
    heard: list[str] = []
    with socket.socket() as busy:
        busy.bind((LOOPBACK, 0))
        busy.listen()
        port, other = busy.getsockname()[1], free_port()
        assert ports.free_port([port, other], "MAFT_MLFLOW_PORT", "MLflow", heard.append) == other
        with pytest.raises(UserError, match="MAFT_MLFLOW_PORT"):
            ports.free_port([port], "MAFT_MLFLOW_PORT", "MLflow", heard.append)
    assert heard == [
        f"port {port} is in use by {psutil.Process().name()} (pid {os.getpid()}): MLflow takes port {other}"
    ]


def test_killed_server_alone_is_restarted(home: Home) -> None:
    before = processes.read_records(home)
    orphan = psutil.Process(before["mlflow"].pid).children()[0]
    os.kill(before["mlflow"].pid, signal.SIGKILL)
    psutil.Process(before["mlflow"].pid).wait(60)
    assert orphan.is_running()
    assert [state.running for state in servers.status(home)] == [True, False]
    servers.up(home)
    after = processes.read_records(home)
    assert after["prefect"] == before["prefect"]
    assert after["mlflow"].pid != before["mlflow"].pid and after["mlflow"].url == before["mlflow"].url
    assert not orphan.is_running()


def test_server_that_dies_shows_its_log(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", servers.up(home).prefect_api_url)
    (tmp_path / "mlflow.py").write_text("raise SystemExit('no room for tables')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    broken = Home.open(tmp_path / "home")
    with pytest.raises(UserError, match="MLflow server ended while it started") as error:
        servers.up(broken)
    assert f"the end of {broken.logs / 'mlflow.log'}:\n    no room for tables" in str(error.value)
    assert [state.running for state in servers.status(broken)] == [True, False]
    assert servers.down(broken) == []


def test_port_that_another_home_takes_meanwhile(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other home's server gives the same answers as this home's, so an answer does not show whose server it is."""
    found, taken, free = servers.up(home), processes.read_records(home)["mlflow"].port, free_port()
    (tmp_path / "mlflow.py").write_text(SMALL_SERVER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", found.prefect_api_url)
    looked = iter([taken, free])
    monkeypatch.setattr(ports, "free_port", lambda *_: next(looked))
    other = Home.open(tmp_path / "home")
    try:
        assert servers.up(other).mlflow_tracking_uri == f"http://{LOOPBACK}:{free}"
        assert processes.read_records(other)["mlflow"].port == free
    finally:
        assert servers.down(other) == ["mlflow"]
    assert servers.up(home) == found


def test_recycled_pid_is_not_taken_for_a_server(tmp_path: Path) -> None:
    home = Home.open(tmp_path)
    stranger = processes.StartedProcess(
        os.getpid(), psutil.Process().create_time() - 60, 4200, "http://x", "2026-01-01"
    )
    processes.write_records(home, {"prefect": stranger})
    assert not servers.status(home)[0].running
    assert servers.down(home) == []


def test_damaged_record_is_named(tmp_path: Path) -> None:
    home = Home.open(tmp_path)
    home.servers_file.write_text('{"prefect": ')
    with pytest.raises(UserError, match=r"servers\.json is damaged"):
        servers.up(home)


def test_unusable_home_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below" / "it"):
        with pytest.raises(UserError, match="is a file, not a folder"):
            Home.open(path)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "logs").touch()
    with pytest.raises(UserError, match="half"):
        Home.open(tmp_path / "half")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "half", "logs"]


def test_down_stops_both_and_again_is_fine(home: Home) -> None:
    family = [p for name, record in processes.read_records(home).items() for p in processes.members(home, name, record)]
    assert len(family) == 3, "Prefect is one process, MLflow two"
    assert servers.down(home) == NAMES
    assert all(map(processes.has_ended, family))
    assert not home.servers_file.exists()
    assert servers.down(home) == []
    assert [state.running for state in servers.status(home)] == [False, False]
