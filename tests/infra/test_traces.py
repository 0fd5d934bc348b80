"""Debates as traces on a real MLflow server: the spans follow the debate, and no debate is stored twice."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.entities import Trace
from mlflow.exceptions import MlflowException

from infra.lineage.client import client
from infra.lineage.records import JobRun
from infra.lineage.runs import open_generation
from infra.lineage.traces import MAX_TEXT_CHARS, log_debates
from tests.infra.lineage_samples import a_job
from tests.infra.test_lineage_killed import killed_at_every_write

SEED = 1
ANSWERS = {  # the reference is 4; the answers of two generators, then of two critics
    "agreed": ("4", "4", "4", "4"),
    "agreed too": ("4", "4", "4", "4"),
    "split": ("4", "4", "4", None),
    "corrected": ("5", "5", "4", "4"),
    "corrected too": ("6", "6", "4", "4"),
    "spoiled": ("4", "4", "5", "5"),
}


def debates(**texts: str) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for question, answers in ANSWERS.items():
        for place, answer in enumerate(answers):
            critic, index = divmod(place, 2)
            agent = f"{'critic' if critic else 'generator'}-{index}"
            text = texts.get(question, f"{agent} says {answer}")
            summary = f"summary for {agent}" if critic else None
            rows.append(
                {"question": question, "reference": "4", "round": 1 + critic, "agent": agent}
                | {"heard": str(1 - index), "summary": summary, "text": text, "answer": answer, "weight": 1.0}
            )
    return pd.DataFrame(rows)


def log(job: JobRun, generation: int = 1, limit: int = 3, **texts: str) -> list[str]:
    run_id = open_generation(job, generation)
    return log_debates(job.experiment_id, run_id, job.job, generation, debates(**texts), SEED, limit)


def traces(job: JobRun, run_id: str | None = None) -> list[Trace]:
    return list(client().search_traces(locations=[job.experiment_id], run_id=run_id))


def test_a_trace_reads_like_the_debate(tracking: str) -> None:
    job = a_job("read")
    (trace_id,) = log(job, limit=1)
    trace = client().get_trace(trace_id)
    spans = {span.span_id: span for span in trace.data.spans}
    ordered = sorted(spans.values(), key=lambda span: (span.start_time_ns, -(span.end_time_ns or 0)))
    assert [(span.name, spans[span.parent_id].name if span.parent_id else None) for span in ordered] == [
        ("debate", None),
        ("round 1 · generator-0", "debate"),
        ("round 1 · generator-1", "debate"),
        ("round 2 · critic-0", "debate"),
        ("what the others said", "round 2 · critic-0"),
        ("round 2 · critic-1", "debate"),
        ("what the others said", "round 2 · critic-1"),
        ("vote", "debate"),
    ]
    root, first, _, critic, read, _, _, vote = ordered
    assert root.inputs == {"question": "`corrected`"}
    assert root.outputs == {"answer": "`4`", "reference": "`4`", "right": True, "debate": "corrected"}
    assert first.inputs == {"question": "`corrected`"}
    assert first.outputs == {"text": "`generator-0 says 5`", "answer": "`5`"}
    assert critic.inputs == {"the others said": "`summary for critic-0`"}
    assert (read.inputs, read.outputs) == ({"agents": ["generator-1"]}, {"text": "`summary for critic-0`"})
    assert (read.span_type, critic.span_type) == ("LLM", "AGENT")
    assert vote.inputs == {"critic-0": "`4`", "critic-1": "`4`"}
    assert vote.outputs == {"answer": "`4`", "votes": 2, "voters": 2, "tied": False}
    assert trace.info.request_preview == "corrected"
    assert trace.info.response_preview == "generation 1: 4, right (corrected)"


@pytest.mark.parametrize(
    ("limit", "kinds"),
    [
        (3, ["corrected", "spoiled", "split"]),
        (5, ["corrected", "spoiled", "split", "agreed", "corrected too"]),
        (100, ["corrected", "spoiled", "split", "agreed", "corrected too", "agreed too"]),
        (0, []),
    ],
)
def test_the_debates_worth_reading_come_first(tracking: str, limit: int, kinds: list[str]) -> None:
    job = a_job(f"chosen-{limit}")
    ids = log(job, limit=limit)
    found = traces(job)
    assert [trace.info.request_preview for trace in found] == kinds, "the UI lists the newest first"
    assert [trace.info.trace_id for trace in found] == ids


def test_the_weights_of_a_vote_decide_what_became_of_the_debate(tracking: str) -> None:
    job = a_job("weighted")
    frame = debates()
    frame = frame[frame["question"] == "split"].assign(
        answer=["5", "5", "5", "4"], weight=[1.0, 1.0, 0.2, 0.9]
    )  # The critic with the right answer has the larger weight.
    (trace_id,) = log_debates(job.experiment_id, open_generation(job, 1), job.job, 1, frame, SEED)
    assert client().get_trace(trace_id).info.response_preview == "generation 1: 4, right (corrected)"


def test_traces_belong_to_their_run_and_are_there_once(tracking: str) -> None:
    job = a_job("once")
    for _ in range(2):
        for generation in (0, 1):
            log(job, generation)
    assert len(traces(job)) == 6
    for generation in (0, 1):
        of_run = traces(job, open_generation(job, generation))
        assert len(of_run) == 3
        assert {len(trace.data.spans) for trace in of_run} == {8}
        assert {trace.info.tags["maft.generation"] for trace in of_run} == {str(generation)}
        assert {trace.info.tags["maft.job"] for trace in of_run} == {job.job}
        assert len({trace.info.tags["maft.problem"] for trace in of_run}) == 3


def _log_some(k: int, folder: Path) -> None:
    """Log some debates; every k has its own society."""
    log(a_job(f"traces-killed-{k}"), limit=2)


def test_logging_killed_at_any_write_leaves_nothing_twice(tracking: str) -> None:
    steps = killed_at_every_write(_log_some, Path())
    assert steps > 6
    for k in range(1, steps + 1):
        job = a_job(f"traces-killed-{k}")
        found = traces(job, open_generation(job, 1))
        assert [trace.info.request_preview for trace in found] == ["corrected", "spoiled"]
        assert [len(trace.data.spans) for trace in found] == [8, 8]
        assert len(traces(job)) == 2


def test_long_and_odd_texts_come_through_as_text(tracking: str) -> None:
    job = a_job("hostile")
    odd = "```\n![x](http://127.0.0.1/x)<img src=x onerror=a()> \x00 \x1b[31m \u202e {{7*7}} \\boxed{\U0001f600"
    line = "2*3*4 ` [x](javascript:y)"
    ids = log(job, limit=3, corrected=odd, spoiled="y" * 5_000_000, split=line)
    block, long, inline = (client().get_trace(trace_id).data.spans[1].outputs["text"] for trace_id in ids)
    assert block == "````\n" + odd.replace("\x00", "\N{REPLACEMENT CHARACTER}") + "\n````"
    assert len(long) < MAX_TEXT_CHARS + 100
    assert "4,980,000 characters are left out" in long
    assert inline == f"`` {line} ``"


def test_a_server_that_refuses_is_an_error(tracking: str) -> None:
    job = a_job("gone")
    run_id = open_generation(job, 1)
    with pytest.raises(MlflowException, match="987654321"):
        log_debates("987654321", run_id, job.job, 1, debates(), SEED)
