"""Jobs with a service that is busy, loses answers, fails jobs or is left in the middle: nothing is made twice."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.engines.protocol import EngineError
from agents.hosted import http, limits
from agents.training.jobs.under_way import cancel_jobs
from agents.training.methods.jobs import Jobs
from agents.training.settings import TrainingError
from tests.agents.jobs_samples import fireworks, learner, run, settings, stored, train
from tests.agents.openai_server import drop, status
from tests.jobs_server import JobsServer, jobs_server

pytestmark = pytest.mark.slow

KEY = "sk-a-secret-that-nobody-reads-0123456789"
FORMS = pytest.mark.parametrize("form", [settings, fireworks])
START = {"openai": "POST /v1/fine_tuning/jobs", "fireworks": "POST /v1/accounts/us/supervisedFineTuningJobs"}
UPLOAD = {"openai": "POST /v1/files", "fireworks": "POST /v1/accounts/us/datasets"}
Form = Callable[..., Jobs]


@pytest.fixture
def server(brief_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobsServer]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("FIREWORKS_API_KEY", raising=False)
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    (tmp_path / "service").mkdir()
    with jobs_server(str(brief_folder), tmp_path / "service") as server:
        yield server


@FORMS
def test_a_lost_answer_makes_no_second_file_or_job(
    server: JobsServer, brief_folder: Path, tmp_path: Path, form: Form
) -> None:
    jobs = form(server)
    server.lose |= {START[jobs.service]: 2, UPLOAD[jobs.service]: 1}
    train(run(server, tmp_path, brief_folder), jobs, learner(0), learner(1))
    assert not +server.lose and server.made["files"] == server.made["jobs"] == 2


def test_a_job_is_found_on_any_page_and_without_metadata(
    server: JobsServer, brief_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.training.jobs.dialects.openai.PAGE", 1)
    server.forgets_metadata = True
    jobs, all_ = settings(server), [learner(number) for number in range(3)]
    train(run(server, tmp_path / "one", brief_folder), jobs, *all_)
    train(run(server, tmp_path / "two", brief_folder), jobs, *all_)
    assert server.made["files"] == server.made["jobs"] == 3


def test_a_file_is_waited_for(server: JobsServer, brief_folder: Path, tmp_path: Path) -> None:
    server.reads = 3
    train(run(server, tmp_path, brief_folder), settings(server), learner(0))
    paths = [seen.path for seen in server.seen]
    assert paths.index("POST /v1/fine_tuning/jobs") > paths.index("GET /v1/files/file-000000") > 0


@FORMS
def test_a_passing_fault_is_tried_again(server: JobsServer, brief_folder: Path, tmp_path: Path, form: Form) -> None:
    jobs = form(server)
    for route in (START[jobs.service], UPLOAD[jobs.service]):
        server.first[route].extend([status(429, retry_after_ms="5"), status(503), drop])
    train(run(server, tmp_path, brief_folder), jobs, learner(0))
    assert server.made["files"] == server.made["jobs"] == 1


@FORMS
def test_a_failed_job_loses_no_other_and_is_given_again(
    server: JobsServer, brief_folder: Path, tmp_path: Path, form: Form
) -> None:
    jobs, own = form(server), run(server, tmp_path, brief_folder)
    server.fail["generator-1"] = "The job failed\ndue to an unsafe training file."
    with pytest.raises(TrainingError) as caught:
        train(own, jobs, *map(learner, range(3)))
    first, last = str(caught.value).splitlines()
    assert first.startswith("generator-1: job ") and f"of {jobs.service} failed: The job failed due to an" in first
    assert last == "2 other agents are trained and kept; the same command trains the rest"
    assert server.made["jobs"] == 3 and server.made["models"] == 2
    server.fail.clear()
    assert len(train(own, jobs, *map(learner, range(3)))) == 3
    assert server.made["jobs"] == 4 and server.made["models"] == 3 and server.made["files"] == 3


def test_a_refused_order_is_one_line(server: JobsServer, brief_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"generator-0: http.*/fine_tuning/jobs refused: status 400, .*not availab"):
        train(run(server, tmp_path, brief_folder), settings(server, model="nobody"), learner(0))


def test_the_limits_of_the_headers_are_kept(server: JobsServer, brief_folder: Path, tmp_path: Path) -> None:
    full = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "400ms"}
    page = {"object": "list", "data": [], "has_more": False}
    server.first["GET /v1/files"].append(lambda handler: handler.answer(200, page, **full))
    started = time.monotonic()
    train(run(server, tmp_path, brief_folder), settings(server), learner(0))
    assert time.monotonic() - started > 0.4


def test_headers() -> None:
    asked = [
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1h2m3.5s", 3723.5),
        ("59", 59.0),
        ("soon", 0.0),
        ("1s?", 0.0),
        ("", 0.0),
    ]
    assert [limits.duration(text) for text, _ in asked] == [pytest.approx(seconds) for _, seconds in asked]
    assert limits.seconds_to_wait({"retry-after-ms": "1500", "retry-after": "1"}) == 1.5
    spent = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7s", "x-ratelimit-reset-requests": "9s"}
    assert limits.seconds_to_reset(spent) == 7.0 and limits.seconds_to_wait({**spent, "retry-after": "8"}) == 8.0
    assert limits.seconds_to_reset({"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "5"}) == 0.0


def test_a_job_that_takes_too_long_is_left_and_taken_up(server: JobsServer, brief_folder: Path, tmp_path: Path) -> None:
    own = run(server, tmp_path, brief_folder)
    server.hold.clear()
    with pytest.raises(TrainingError, match=r"job ftjob-000000 is not ready after 1e-05 h; it goes on there"):
        train(own, settings(server, longest_hours=1e-5), learner(0))
    server.hold.set()
    train(own, settings(server), learner(0))
    assert server.made["jobs"] == 1 and not server.made["cancelled"]


@FORMS
def test_a_run_that_is_left_goes_on_and_one_that_is_cancelled_ends_its_jobs(
    server: JobsServer, brief_folder: Path, tmp_path: Path, form: Form
) -> None:
    jobs, own = form(server), run(server, tmp_path, brief_folder, job="run-1")
    server.hold.clear()

    def interrupt(done: int, total: int) -> None:
        if server.made["jobs"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(own, jobs, *map(learner, range(3)), tell=interrupt)
    assert server.made["jobs"] == 3 and not server.made["cancelled"], "Ctrl-C ends no job"
    assert cancel_jobs(own.store, "another run") == []
    assert sorted(cancel_jobs(own.store, "run-1")) == sorted(server.jobs) and server.made["cancelled"] == 3
    assert cancel_jobs(own.store, "run-1") == []
    server.hold.set()
    train(own, jobs, *map(learner, range(3)))
    assert server.made["jobs"] == 6, "cancelled jobs are given again"
    assert cancel_jobs(own.store, "run-1") == []


def test_a_job_whose_answer_never_came_is_cancelled_too(server: JobsServer, brief_folder: Path, tmp_path: Path) -> None:
    own = run(server, tmp_path, brief_folder, job="run-1")
    server.hold.clear()
    server.lose[START["openai"]] = 1
    with pytest.raises(TrainingError, match="gave up after 1 attempts"):
        train(own, settings(server, attempts=1), learner(0))
    assert len(cancel_jobs(own.store, "run-1")) == 1 == server.made["jobs"]


def test_the_key_is_sent_and_never_told(
    server: JobsServer,
    brief_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    own, echo = run(server, tmp_path, brief_folder), f"wrong key {KEY}"
    server.first["GET /v1/files"].append(status(500, echo.encode()))
    server.fail["generator-0"] = echo
    with caplog.at_level(logging.DEBUG), pytest.raises(TrainingError) as failed:
        train(own, settings(server), learner(0))
    server.key = "another"
    with pytest.raises(TrainingError) as refused:
        train(own, settings(server), learner(1))
    assert "failed: wrong key ***" in str(failed.value) and "status 401" in str(refused.value)
    assert {seen.headers["authorization"] for seen in server.seen} == {f"Bearer {KEY}"}
    server.key, server.fail = None, {}
    stored(train(own, settings(server), learner(0))[0], own.store)
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert not any(KEY.encode() in content for content in written) and len(written) > 3
    assert not any(KEY in text for text in (str(failed.value), str(refused.value), caplog.text))


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"data": 1}', b'{"id": ""}', b"[" * 10_000])
def test_garbage_is_one_line(server: JobsServer, brief_folder: Path, tmp_path: Path, content: bytes) -> None:
    server.first["GET /v1/files"].append(status(200, content))
    with pytest.raises(TrainingError, match=r"finetune\.url http.*not an answer of such a service"):
        train(run(server, tmp_path, brief_folder), settings(server), learner(0))


def test_a_redirect_is_not_followed(server: JobsServer, brief_folder: Path, tmp_path: Path) -> None:
    server.first["GET /v1/files"].append(status(307, location="http://127.0.0.1:9/"))
    with pytest.raises(TrainingError, match="status 307"):
        train(run(server, tmp_path, brief_folder), settings(server), learner(0))


def test_no_more_jobs_at_once_than_allowed(server: JobsServer, brief_folder: Path, tmp_path: Path) -> None:
    server.hold.clear()
    own = run(server, tmp_path, brief_folder)
    thread = threading.Thread(target=train, args=(own, settings(server, concurrency=2), *map(learner, range(4))))
    thread.start()
    until = time.monotonic() + 20
    while server.made["jobs"] < 2 and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    assert server.made["jobs"] == 2
    server.hold.set()
    thread.join()
    assert server.made["jobs"] == 4


def test_an_error_that_nobody_expects_is_not_hidden(
    server: JobsServer, brief_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("agents.training.jobs.learning.file_of", broken)
    with pytest.raises(ZeroDivisionError):
        train(run(server, tmp_path, brief_folder), settings(server), learner(0))


def test_a_service_that_is_gone_is_named(brief_folder: Path, tmp_path: Path, server: JobsServer) -> None:
    gone = settings(server, url="http://127.0.0.1:9/v1", attempts=1)
    with pytest.raises(TrainingError, match=r"finetune\.url http://127\.0\.0\.1:9/v1: gave up after 1 attempts"):
        train(run(server, tmp_path, brief_folder), gone, learner(0))
    with pytest.raises(EngineError, match="OPENAI_API_KEY is not set"):
        train(run(server, tmp_path, brief_folder), settings(server, url="http://10.0.0.1/v1"), learner(0))
