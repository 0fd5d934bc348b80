"""What is paid for once is kept, and a budget stops a job before the step that would pass it."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agents.engines.openai import OpenAISettings
from agents.engines.protocol import Completion, EngineError, Request, Sampling
from agents.engines.tinker import TinkerSettings
from agents.engines.transformers import TransformersSettings
from agents.hosted.adapter import FILE, HostedAdapter, adapter_files, read_hosted, training_key
from agents.hosted.asking import ask_once
from agents.hosted.journal import TRAINED, Journal
from agents.hosted.reading import Read, read_once
from agents.hosted.spending import BudgetError, Prices, Tokens, check_budget, expected
from agents.store import Store
from agents.training.methods.tinker import Tinker
from infra.config.job import Config

PRICES = Prices(prompt=1.0, sampled=10.0, trained=100.0)
SERVER = OpenAISettings(url="http://127.0.0.1:1/v1", prices=PRICES, budget=1.0)
HOSTED = HostedAdapter(
    service="tinker",
    url="http://127.0.0.1:1",
    base="some/base",
    speaks_as="tinker://run/sampler_weights/final",
    goes_on_from="tinker://run/weights/final",
    made_by="run",
    learned="0" * 64,
    settings={"epochs": 2},
)


def quiet(done: int, total: int) -> None:
    assert 0 < done <= total


def asked(count: int) -> list[Request]:
    return [Request([{"role": "user", "content": f"Question {n}?"}], None, n, 10) for n in range(count)]


class Service:
    """An engine that fails at one request, and counts what it was asked."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at, self.count = fails_at, 0

    def each(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for place, request in reversed([*enumerate(requests)]):
            if request.seed == self.fails_at:
                raise EngineError("the connection was lost")
            self.count += 1
            yield place, Completion(f"answer {request.seed}", 7, 3, True)


def ask(service: Service, requests: Sequence[Request], journal: Journal, engine: Any = SERVER) -> list[Completion]:
    return ask_once(service, requests, Sampling(), settings=engine, journal=journal, on_progress=quiet)


def test_what_came_before_a_loss_is_not_asked_for_again(tmp_path: Path) -> None:
    requests = asked(6)
    first = Service(fails_at=2)
    with pytest.raises(EngineError, match="connection was lost"):
        ask(first, requests, Journal(tmp_path))
    assert first.count == 3
    second = Service()
    completions = ask(second, requests, Journal(tmp_path))
    assert second.count == 3 and [each.text for each in completions] == [f"answer {n}" for n in range(6)]
    third = Service(fails_at=0)
    assert ask(third, requests, Journal(tmp_path)) == completions and third.count == 0
    assert Journal(tmp_path).spent() == Tokens(prompt=42, sampled=18, responses=6, prompt_chars=6 * 11)


def test_a_line_that_a_kill_cut_is_asked_for_again(tmp_path: Path) -> None:
    requests = asked(3)
    ask(Service(), requests, Journal(tmp_path))
    (file,) = tmp_path.glob("*.jsonl")
    file.write_bytes(file.read_bytes()[:-20])
    again = Service()
    ask(again, requests, Journal(tmp_path))
    assert again.count == 1 and Journal(tmp_path).spent().responses == 3
    ask(Service(fails_at=0), requests, Journal(tmp_path))


@pytest.mark.parametrize("other", [{"temperature": 0.5}, {"top_p": 0.5}])
def test_another_question_is_not_answered_from_the_journal(tmp_path: Path, other: dict[str, float]) -> None:
    (request,) = asked(1)
    ask(Service(), [request], Journal(tmp_path))
    for changed in (
        Request(request.messages, None, request.seed + 1, 10),
        Request(request.messages, "a" * 64, request.seed, 10),
        Request(request.messages, None, request.seed, 11),
    ):
        service = Service()
        ask(service, [changed], Journal(tmp_path))
        assert service.count == 1
    service = Service()
    ask_once(service, [request], Sampling(**other), settings=SERVER, journal=Journal(tmp_path), on_progress=quiet)
    assert service.count == 1
    service = Service()
    ask(service, [request], Journal(tmp_path), SERVER.model_copy(update={"model": "another"}))
    assert service.count == 1


def test_a_budget_stops_before_the_step_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    journal, service = Journal(tmp_path), Service()
    poor = SERVER.model_copy(update={"budget": 6 * 37e-6})
    ask(service, asked(5), journal, poor.model_copy(update={"budget": 1.0}))
    more = asked(8)[5:]
    with pytest.raises(BudgetError, match=r"engine\.budget is 0\.00022 USD: 0\.00018 USD are spent, and the next 3"):
        ask(service, more, journal, poor)
    assert service.count == 5
    ask(service, more, journal, SERVER)
    assert service.count == 8 and journal.spent().responses == 8


def test_what_is_expected_follows_what_was_seen() -> None:
    requests = asked(4)
    assert expected(requests, Tokens()) == Tokens(prompt=round(44 / 3), sampled=40)
    seen = Tokens(prompt=100, sampled=30, responses=10, prompt_chars=200)
    assert expected(requests, seen) == Tokens(prompt=22, sampled=12)
    assert expected(requests, seen.model_copy(update={"sampled": 3000})).sampled == 40


def test_costs_are_of_a_million_tokens() -> None:
    assert PRICES.of(Tokens(prompt=1_000_000, sampled=500_000, trained=10_000)) == 1.0 + 5.0 + 1.0
    assert [PRICES.shown(cost) for cost in (0.0, 0.001234, 12.345)] == ["0.00 USD", "0.0012 USD", "12.35 USD"]


def test_trainings_are_paid_too(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.train("a", 1000)
    journal.train("a", 500)
    assert journal.spent() == Tokens(trained=1500) and (tmp_path / TRAINED).is_file()
    with pytest.raises(BudgetError, match=r"the training would take about 1\.00 USD more"):
        check_budget(SERVER, spent=journal.spent(), wanted=Tokens(trained=10_000), what="the training")
    check_budget(TransformersSettings(), spent=journal.spent(), wanted=Tokens(trained=10**9), what="the training")


def test_a_text_is_read_once_and_counted(tmp_path: Path) -> None:
    asked: list[list[int]] = []

    def read(texts: Sequence[Read]) -> list[float]:
        asked.extend(target for _, target in texts)
        return [float(len(target)) for _, target in texts]

    texts: list[Read] = [([1, 2], [3]), ([1], [4, 5]), ([1, 2, 3], [])]
    settings = OpenAISettings(url="http://127.0.0.1:9/v1", prices=Prices(prompt=1e6, sampled=0, trained=0), budget=9)
    journal = Journal(tmp_path)
    known = partial(read_once, read, settings=settings, journal=journal, on_progress=quiet)
    assert known(texts[:1], reader="base") == [1.0]
    assert known([*texts, texts[1]], reader="base") == [1.0, 2.0, 0.0, 2.0]
    assert asked == [[3], [4, 5]], "nothing twice, and nothing for an empty target"
    assert journal.spent() == Tokens(read=6)
    with pytest.raises(BudgetError, match="the reading of 2 texts would take about 6"):
        known(texts, reader="tuned")
    assert len(asked) == 2


def test_a_budget_without_prices_is_refused() -> None:
    for prices in (None, Prices(prompt=0.0, sampled=0.0, trained=0.0)):
        with pytest.raises(EngineError, match=r"engine\.budget is set, but engine\.prices has no price"):
            OpenAISettings(url="http://127.0.0.1:1/v1", budget=1.0, prices=prices).check()


def test_a_folder_says_where_a_service_keeps_its_adapter(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    assert read_hosted(tmp_path) is None
    with pytest.raises(FileNotFoundError, match=r"adapter_model\.safetensors is missing"):
        adapter_files(tmp_path)
    for name, content in HOSTED.files({"adapter_model.safetensors": b""}).items():
        (tmp_path / name).write_bytes(content)
    assert read_hosted(tmp_path) == HOSTED
    assert [file.name for file in adapter_files(tmp_path)] == [FILE, "adapter_config.json", "adapter_model.safetensors"]
    (tmp_path / FILE).write_text('{"service": "tinker"}')
    with pytest.raises(EngineError, match=r"hosted\.json is damaged \(url\)"):
        read_hosted(tmp_path)


def test_a_training_is_known_by_all_that_it_depends_on() -> None:
    given: dict[str, Any] = {"examples": [[{"role": "user", "content": "?"}]], "settings": {"a": 1}, "start": None}
    key = training_key(**given, seed=1)
    assert key == training_key(**given, seed=1)
    others = [{"seed": 2}, {"start": "x"}, {"settings": {"a": 2}}, {"examples": [[{"role": "user", "content": "!"}]]}]
    assert len({key, *(training_key(**{**given, "seed": 1, **other}) for other in others)}) == 5


def test_notes_are_replaced_whole(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.noted("training-a.json") is None
    for content in (b"one", b"another"):
        store.note("training-a.json", content)
        assert store.noted("training-a.json") == content
    assert [file.name for file in (tmp_path / "notes").iterdir()] == ["training-a.json"]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"engine": {"name": "tinker"}},
            r"finetune\.method is sft, but engine\.name is tinker.* set finetune\.method to tinker, or engine\.name to",
        ),
        ({"finetune": {"method": "tinker"}}, r"finetune\.method is tinker, but engine\.name is transformers"),
        (
            {"engine": {"name": "tinker", "url": "ftp://a"}, "finetune": {"method": "tinker"}},
            "a base URL is needed",
        ),
        ({"engine": {"name": "tinker"}, "finetune": {"method": "tinker", "alpha": 8}}, "alpha cannot be set"),
        (
            {"engine": {"name": "tinker"}, "finetune": {"method": "tinker", "on_divergence": "halve"}},
            "on_divergence cannot be set",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Config(**sections)


def test_a_key_is_needed_away_from_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tinker")
    monkeypatch.delenv("TINKER_API_KEY", raising=False)
    TinkerSettings(url="http://127.0.0.1:1").check()
    for url in (None, "https://example.org"):
        with pytest.raises(EngineError, match="TINKER_API_KEY is not set"):
            TinkerSettings(url=url).check()
    assert Config(engine={"name": "tinker"}, finetune={"method": "tinker"}).finetune == Tinker()
