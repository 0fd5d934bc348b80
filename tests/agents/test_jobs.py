"""Agents learn by the files and jobs of a service, which truly trains: each file and each job is made once."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.engines import base_model
from agents.engines.openai.engine import OpenAIEngine
from agents.engines.protocol import EngineError, Request
from agents.engines.transformers.engine import TransformersEngine
from agents.hosted import http
from agents.hosted.spending import BudgetError, Prices, Tokens
from agents.training.jobs.learning import file_of
from agents.training.methods.jobs import Jobs
from agents.training.methods.sft import Sft
from agents.training.settings import TrainingError
from infra.config.job import Config
from tests.agents.engine_samples import GREEDY, quiet
from tests.agents.jobs_samples import fireworks, learner, run, settings, stored, train
from tests.jobs_server import BASE, JobsServer, jobs_server

pytestmark = pytest.mark.slow


@pytest.fixture
def server(brief_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobsServer]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("FIREWORKS_API_KEY", raising=False)
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    (tmp_path / "service").mkdir()
    with jobs_server(str(brief_folder), tmp_path / "service") as server:
        yield server


@pytest.mark.parametrize("form", [settings, fireworks])
def test_agents_learn_and_speak_under_the_returned_name(
    server: JobsServer, brief_folder: Path, tmp_path: Path, form: object
) -> None:
    jobs, own = form(server, epochs=2), run(server, tmp_path, brief_folder)
    heard: list[tuple[int, int]] = []
    adapters = train(own, jobs, learner(0), learner(1), tell=lambda done, all_: heard.append((done, all_)))
    assert server.made["files"] == server.made["jobs"] == server.made["models"] == 2
    assert heard[-1] == (2, 2) and heard == sorted(heard)
    kept = [stored(adapter, own.store) for adapter in adapters]
    for adapter, (_, hosted) in zip(adapters, kept, strict=True):
        assert (hosted.service, hosted.url, hosted.base) == (jobs.service, jobs.url, BASE)
        assert hosted.made_by in server.jobs and hosted.speaks_as in server.names and adapter.examples == 12
        assert hosted.settings and adapter.tokens > 0
    messages = [{"role": "user", "content": "Is card 7 marked 1 or 2?"}]
    asked = [Request(messages, name, 1, 20) for name in (*[sha for sha, _ in kept], None)]
    said = OpenAIEngine(own.engine, own.store.folders).complete(asked, GREEDY, quiet)
    names = [seen.body["model"] for seen in server.seen if seen.path.endswith("/chat/completions")]
    assert sorted(names) == sorted([*(hosted.speaks_as for _, hosted in kept), BASE]) and all(one.text for one in said)
    assert own.journal.spent().trained == sum(adapter.tokens for adapter in adapters)

    assert train(own, jobs, learner(0), learner(1)) == adapters, "a retried step takes what there is"
    elsewhere = run(server, tmp_path / "other", brief_folder)
    assert train(elsewhere, jobs, learner(0), learner(1)) == adapters, "without notes, all is found at the service"
    assert server.made["files"] == server.made["jobs"] == 2
    assert own.journal.spent().trained == sum(adapter.tokens for adapter in adapters)


@pytest.mark.parametrize("form", [settings, fireworks])
def test_it_goes_on_from_the_previous_generation(
    server: JobsServer, brief_folder: Path, tmp_path: Path, form: object
) -> None:
    jobs, own = form(server), run(server, tmp_path, brief_folder)
    sha256, first = stored(train(own, jobs, learner(0))[0], own.store)
    _, second = stored(train(own, jobs, learner(0, start=own.store.folder(sha256)))[0], own.store)
    assert server.jobs[second.made_by].start == first.goes_on_from and first.learned != second.learned
    other = form(server, model="another", start="previous")
    (tmp_path / "local").mkdir()
    with pytest.raises(
        TrainingError, match=r"the adapter of generator-0 is kept by this machine.*finetune\.start to b"
    ):
        train(own, other, learner(0, start=tmp_path / "local"))


def test_only_the_last_turn_is_learned() -> None:
    lines = [json.loads(line) for line in file_of(learner(examples=2).examples).splitlines()]
    weights = [[message.get("weight") for message in line["messages"]] for line in lines]
    assert weights == [[None, 1], [None, 0, None, 1]]


def test_what_is_sent_to_openai(server: JobsServer, brief_folder: Path, tmp_path: Path) -> None:
    train(run(server, tmp_path, brief_folder), settings(server, learning_rate_multiplier=2.0), learner(3))
    (body,) = (seen.body for seen in server.seen if seen.path == "POST /v1/fine_tuning/jobs")
    (upload,) = (seen.body for seen in server.seen if seen.path == "POST /v1/files")
    key = body["metadata"]["maft"]
    assert len(key) == 64 and upload["file"][0] == f"maft-{key}.jsonl" and body["suffix"] == "maft-generator-3"
    assert body["seed"] == 3 and body["model"] == BASE
    tuning = {"n_epochs": 1, "batch_size": 4, "learning_rate_multiplier": 2.0}
    assert body["method"] == {"type": "supervised", "supervised": {"hyperparameters": tuning}}


def test_what_is_sent_to_fireworks(server: JobsServer, brief_folder: Path, tmp_path: Path) -> None:
    train(run(server, tmp_path, brief_folder), fireworks(server, learning_rate=2e-4, rank=8), learner(3))
    (body,) = (seen.body for seen in server.seen if seen.path.endswith("POST /v1/accounts/us/supervisedFineTuningJobs"))
    told = {"epochs": 1, "learningRate": 2e-4, "loraRank": 8, "batchSizeSamples": 4, "baseModel": BASE}
    assert told.items() <= body.items() and body["displayName"] == "maft generator-3"


def test_agents_with_too_few_examples_stay_as_they_are(
    server: JobsServer, brief_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = run(server, tmp_path, brief_folder)
    with caplog.at_level(logging.WARNING):
        few, enough = train(own, settings(server), learner(0, examples=9), learner(1, examples=10))
    assert (few.files, few.examples, enough.examples) == ({}, 0, 10) and server.made["files"] == 1
    assert "generator-0 stays as it is: it has 9 examples, and openai takes at least 10" in caplog.text
    server.seen.clear()
    assert [each.files for each in train(own, settings(server), learner(2, examples=3))] == [{}] and not server.seen


def test_half_the_budget_stops_before_anything_is_sent(server: JobsServer, brief_folder: Path, tmp_path: Path) -> None:
    prices, jobs, all_ = Prices(prompt=0.0, sampled=0.0, trained=1e6), settings(server), [learner(0), learner(1)]
    free = run(server, tmp_path / "free", brief_folder)
    (tmp_path / "free").mkdir()
    cost = prices.of(Tokens(trained=sum(each.tokens for each in train(free, jobs, *all_))))
    server.seen.clear()
    poor = run(server, tmp_path, brief_folder, prices=prices, budget=cost / 2)
    with pytest.raises(BudgetError, match="the training of 2 agents would take about"):
        train(poor, jobs, *all_)
    assert not server.seen
    train(poor, jobs, learner(0))
    with pytest.raises(BudgetError, match=r"are spent, and the training of 1 agents would"):
        train(poor, jobs, *all_)
    rich = run(server, tmp_path, brief_folder, prices=prices, budget=1.01 * cost)
    assert len(train(rich, jobs, *all_)) == 2


def test_settings_that_a_service_does_not_have_are_refused() -> None:
    own = {"service": "openai", "url": "https://api.openai.com/v1", "model": "gpt"}
    with pytest.raises(ValueError, match=r"finetune\.rank is 8, but openai has no such setting; leave it out"):
        Jobs(**own, rank=8)
    with pytest.raises(ValueError, match=r"names no account; set it to https://api\.fireworks\.ai/v1/accounts/ACCOUNT"):
        Jobs(service="fireworks", url="https://api.fireworks.ai/v1", model="gpt")
    with pytest.raises(ValueError, match="a base URL is needed"):
        Jobs(service="openai", url="api.openai.com", model="gpt")
    with pytest.raises(ValueError, match=r"where ACCOUNT stands for a name of your own; put that there"):
        Jobs(service="fireworks", url="https://api.fireworks.ai/v1/accounts/ACCOUNT", model="gpt")
    with pytest.raises(ValueError, match="Input should be 'fireworks' or 'openai'"):
        Jobs(**{**own, "service": "nobody"})


def test_an_engine_that_cannot_speak_with_the_models_is_refused() -> None:
    own = {"method": "jobs", "service": "openai", "url": "https://api.openai.com/v1", "model": "gpt"}
    with pytest.raises(ValueError, match=r"engine\.name is transformers, which cannot.*engine\.name to openai"):
        Config(finetune=own)
    with pytest.raises(ValueError, match=r"engine\.url is http://127\.0\.0\.1:1/v1, which is another server"):
        Config(finetune=own, engine={"name": "openai", "url": "http://127.0.0.1:1/v1", "model": "gpt"})
    with pytest.raises(ValueError, match=r"finetune\.model is gpt, but engine\.model is not set"):
        Config(finetune=own, engine={"name": "openai", "url": own["url"]})
    good = Config(finetune=own, engine={"name": "openai", "url": own["url"], "model": "gpt"})
    assert isinstance(good.finetune, Jobs) and isinstance(Config().finetune, Sft)


def test_a_key_is_asked_for_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "FIREWORKS_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EngineError, match=r"finetune\.url is https://api.*FIREWORKS_API_KEY is not set"):
        Jobs(service="fireworks", url="https://api.fireworks.ai/v1/accounts/us", model="llama").check_key()


def test_an_adapter_of_another_server_is_refused(server: JobsServer, brief_folder: Path, tmp_path: Path) -> None:
    own = run(server, tmp_path, brief_folder)
    sha256, _ = stored(train(own, settings(server), learner(0))[0], own.store)
    elsewhere = own.engine.model_copy(update={"url": "http://127.0.0.1:9/v1"})
    with pytest.raises(EngineError, match=r"engine\.url is http://127\.0\.0\.1:9/v1, but adapter .* is kept by openai"):
        OpenAIEngine(elsewhere, own.store.folders).complete([Request([], sha256, 1, 1)], GREEDY, quiet)
    here = TransformersEngine(*base_model.load(str(brief_folder), "cpu"), adapters=own.store.folders)
    asked = Request([{"role": "user", "content": "1+1?"}], sha256, 1, 1)
    with pytest.raises(EngineError, match=r"is kept by openai at http.*and its weights are not here"):
        here.complete([asked], GREEDY, quiet)
