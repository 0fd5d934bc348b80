"""The model of tests.bench.scale at limits that can be worked out by hand, and against the code that it describes."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from agents.engines.base_model import Base, Bases
from agents.engines.portions import portions as divided
from agents.engines.protocol import Request, Sampling
from agents.preview.forecast import COPIES
from agents.runners.ray import PORTIONS
from agents.runners.settings import Runner
from agents.training.finetune import _shares
from infra.config.job import Config
from tests.bench.scale import __main__ as tables
from tests.bench.scale import count
from tests.bench.scale.model import (
    Job,
    call,
    debate,
    driver,
    fastest_gpus,
    hours,
    iteration,
    limit,
    portions,
    training,
    useful_gpus,
    whole,
)
from tests.bench.scale.rates import LARGE, MEASURED, SMALL, Rates, ours, published, solved

FREE = Rates(
    read=100.0,
    sampled=10.0,
    step=0.0,
    trained=50.0,
    load=0.0,
    adapter_bytes=0,
    portion=0.0,
    start=0.0,
    actor=0.0,
    response=0.0,
    split=0.0,
    register=0.0,
    register_agent=0.0,
    put=0.0,
)
"""Nothing takes time but tokens."""
JOB = Job(problems=96, agents=2, held_out=48, iterations=3, epochs=1, learned=0.5)
MANY = 10**6


def test_on_one_gpu_without_overheads_only_tokens_take_time() -> None:
    # A question, an answer; a summary of the other agent's answer; the conversation, an answer.
    read, sampled = 72 + (72 + 256) + (72 + 256 + 83 + 256), 256 + 256 + 256
    each = read / 100 + sampled / 10
    assert debate(JOB, 96, FREE, 1) == pytest.approx(2 * 96 * each)
    lessons = 2 * 48 * (72 + 256) + 2 * 48 * (72 + 256 + 83 + 256 + 256)
    assert training(JOB, FREE, 1) == pytest.approx(lessons / 50)
    assert iteration(JOB, FREE, 1) == {
        "debates": pytest.approx(2 * (96 + 48) * each),
        "training": pytest.approx(lessons / 50),
        "driver": 0,
        "lineage": 0,
    }
    # Three iterations, and the evaluation of the untuned base.
    assert 3600 * hours(JOB, FREE, 1) == pytest.approx(2 * (3 * (96 + 48) + 48) * each + 3 * lessons / 50)


def test_without_overheads_the_debates_are_divided_evenly_and_cost_the_same() -> None:
    assert debate(JOB, 96, FREE, 24) == pytest.approx(debate(JOB, 96, FREE, 1) / 24)


def test_on_any_number_of_gpus_a_request_takes_its_own_tokens_one_after_another() -> None:
    rates = replace(FREE, step=0.02)
    assert call(192, 72, 256, adapters=2, rates=rates, gpus=MANY) == pytest.approx(72 / 100 + 256 * (0.02 + 1 / 10))


def test_an_agent_is_trained_in_one_place() -> None:
    critic = 48 * (72 + 256 + 83 + 256 + 256) / 50
    assert training(JOB, FREE, 4) == training(JOB, FREE, MANY) == pytest.approx(critic)
    assert training(JOB, FREE, 2) == pytest.approx(critic + 48 * (72 + 256) / 50)


def test_what_the_driver_does_alone_is_left_on_any_number_of_gpus() -> None:
    rates = replace(
        FREE, read=1e12, sampled=1e12, trained=1e12, response=1e-3, split=1e-4, register=5, register_agent=1
    )
    spent = iteration(JOB, rates, MANY)
    # 2 agents, 2 rounds, 144 problems; 4 splits, each of the 2 x 2 x 96 responses; 4 agents to register.
    assert spent["driver"] == driver(JOB, rates) == pytest.approx(576e-3 + 4 * 384e-4)
    assert spent["lineage"] == pytest.approx(5 + 4)
    # Two GPUs, of which one has nothing to do, are used by half.
    assert (useful_gpus(JOB, rates), fastest_gpus(JOB, rates)) == (2, 1)
    assert limit(JOB, rates, 1) == "lineage"


def test_the_driver_hands_out_one_portion_after_another() -> None:
    rates = replace(FREE, read=1e12, sampled=1e12, portion=0.01)
    assert call(192, 72, 256, adapters=2, rates=rates, gpus=MANY) == pytest.approx(1.92)


def test_files_and_copies_of_adapters_are_written_one_after_another() -> None:
    rates = replace(FREE, adapter_bytes=1000, stored=100.0, copies=3, put=0.5, files=10, files_agent=2)
    assert iteration(JOB, rates, 1)["lineage"] == pytest.approx(4 * 3 * 1000 / 100 + (10 + 4 * 2) / 2)


def test_summaries_grow_with_the_agents_unless_they_read_fewer() -> None:
    assert [max(read for read, _ in replace(JOB, agents=n).steps) for n in (16, 64)] == [72 + 15 * 256, 72 + 63 * 256]
    assert list(replace(JOB, agents=64, heard=1).steps) == list(JOB.steps)
    assert len(list(replace(JOB, agents=1).steps)) == 2  # Nobody to read, so no summary.


@pytest.mark.parametrize("gpus", [1, 2, 8, 64, 512])
@pytest.mark.parametrize(("problems", "agents"), [(500, 3), (400, 16), (7, 2)])
def test_requests_are_divided_as_the_runner_divides_them(problems: int, agents: int, gpus: int) -> None:
    requests = [
        Request([{"role": "user", "content": "x" * number}], f"{agent}" * 64, number, 8, agent)
        for agent in range(agents)
        for number in range(problems)
    ]
    parts = divided(requests, Bases(each=(Base(name="one", sha256="1" * 64),)), number=PORTIONS * gpus, most=200)
    assert portions(len(requests), agents, FREE, gpus) == len(parts)


@pytest.mark.parametrize("gpus", [1, 3, 4, 6, 7])
def test_agents_are_dealt_to_places_as_the_training_deals_them(gpus: int) -> None:
    lessons = replace(JOB, agents=3).lessons
    dealt = _shares([48] * 6, gpus)
    assert training(replace(JOB, agents=3), FREE, gpus) == pytest.approx(
        max(sum(lessons[place] for place in own) for own in dealt) / 50
    )


def test_constants_are_those_of_the_code() -> None:
    config, job, rates = Config(), Job(problems=1, agents=1), FREE
    assert (rates.portions, rates.copies) == (PORTIONS, COPIES)
    assert rates.batch_rows == Runner.model_fields["batch_rows"].default
    assert (job.rounds, job.epochs) == (config.debate.rounds, config.finetune.epochs)
    assert (job.response, job.summary) == (Sampling().max_new_tokens, Sampling().max_summary_tokens)


def test_rates_give_back_what_they_were_made_from() -> None:
    measured = ours(MEASURED)
    assert 200 / (measured.step + 200 / measured.sampled) == pytest.approx(11_322)
    assert 1 / measured.step == pytest.approx(89)
    read, sampled = solved((500, 2000, 400.0), (2000, 100, 50.0))
    assert 2000 / (500 / read + 2000 / sampled) == pytest.approx(400)
    assert 100 / (2000 / read + 100 / sampled) == pytest.approx(50)
    # By hand: 32 layers of rank 16, in- and outputs of seven layers, four bytes.
    assert SMALL.adapter_bytes() == 32 * 16 * (4 * 4096 + 2 * (4096 + 1024) + 3 * (4096 + 14_336)) * 4 == 167_772_160
    with pytest.raises(ValueError, match="nothing is cited"):
        published(MEASURED)


def test_more_gpus_never_make_the_training_or_the_driver_slower_and_a_start_is_paid_once() -> None:
    rates = published(LARGE)
    for few, more in ((1, 8), (8, 64), (64, 512)):
        assert training(JOB, rates, more) <= training(JOB, rates, few)
        assert whole(JOB, rates, more)["start"] == whole(JOB, rates, few)["start"] == rates.start + rates.actor + 20


def test_the_tables_of_another_job_and_of_other_rates() -> None:
    jobs, rates = tables.changed(["problems=100", "trained=1000"])
    assert jobs == {"problems=100": Job(problems=100, agents=3)}
    assert {one.trained for both in rates.values() for one in both} == {1000.0}
    assert len(tables.grid("hours", hours, jobs, rates).splitlines()) == 2 + len(rates)
    with pytest.raises(SystemExit, match="no such field: speed"):
        tables.changed(["speed=3"])


def test_the_page_has_the_numbers_of_the_command() -> None:
    written = (Path(__file__).parents[2] / "docs" / "scale.md").read_text("utf-8").splitlines()
    assert set(tables.page(*tables.changed([])).splitlines()) <= set(written)


def test_homes_are_counted(tmp_path: Path) -> None:
    for path, table in zip(count.DATABASES, ("task_run", "runs"), strict=True):
        (tmp_path / path).parent.mkdir()
        with sqlite3.connect(tmp_path / path) as database:
            database.execute(f"CREATE TABLE {table} (name TEXT, start_time TEXT, end_time TEXT)")
            times = ("2026-11-29 10:00:00.0", "2026-11-29 10:00:01.5")
            for name in ("iteration 1 · split · critic-0", "iteration 2 · split · generator-11"):
                database.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", (name, *times))
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "one").write_text("four")
    assert count.rows(tmp_path)["mlflow: all tables"] == 2
    assert count.seconds(tmp_path) == {"split": [1.5, 1.5]}
    assert (count.files(tmp_path)["files: all"], count.files(tmp_path)["bytes: results"]) == (1, 4)
    assert count.kind("evaluate generation 1 · debate · round 2") == "debate"
