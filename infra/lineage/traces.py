"""Logs a sample of held-out debates as MLflow traces, with a span for each turn.

    debate                          question -> the society's answer, the reference, right or wrong
      round 1 · generator-0         question -> the agent's response, its answer
      round 2 · critic-0            -> the agent's response, its answer
        what the others said        -> the summary that the agent read before
      vote                          answers of the last round -> answer, votes

MLflow's own tracing sends spans in the background and only logs errors; here spans are sent at once, and errors are
raised. A trace's id is a digest of (run, problem), and the server replaces a trace of the same id, so a debate that is
logged twice is stored once.
"""

import base64
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from evaluation.answers.grader import Grader
from evaluation.answers.kinds.math import MATH
from evaluation.frames import text_or_none
from evaluation.measures.debates import Ballots
from evaluation.measures.worth_reading import Course, Kind, course, in_turns
from evaluation.problems.problem import question_id
from infra.lineage.client import client

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Span, TraceInfo

MAX_TEXT_CHARS = 20_000
MAX_PREVIEW_CHARS = 1_000
_HALF_TURN_NS = 500_000


def log_debates(
    experiment_id: str,
    run_id: str,
    job: str,
    generation: int,
    frame: "pd.DataFrame",
    seed: int,
    limit: int = 3,
    *,
    grader: Grader = MATH,
) -> list[str]:
    """Log debates as traces of a run; the kinds (`Course.kind`) take turns, each in the order of the frame.

    The times are not real: the debates start with the run, and each turn takes a millisecond.

    Args:
        experiment_id: Id of the run's experiment.
        run_id: Id of the run whose page shows the traces.
        job: The job's digest.
        generation: Generation of the society that debated.
        frame: One row per turn, in reading order, with the columns question, reference, round, agent, heard, summary,
            text, answer (None if no answer was found in the text) and weight.
        seed: Seed of the job, by which tied votes are decided.
        grader: Decides which answers are right.
        limit: The largest number of debates to log.

    Returns:
        Ids of the traces.

    Raises:
        MlflowException: the server refused a trace; the traces before it are logged.
        KeyError: the frame lacks a column.
    """
    from mlflow.tracing.client import TracingClient

    tracking = client()
    tracing = TracingClient(tracking.tracking_uri)
    start_ms = tracking.get_run(run_id).info.start_time
    chosen = _worth_reading(_debates(frame, seed, grader), limit)
    ids = []
    for place, debate in enumerate(chosen):
        key = hashlib.sha256(f"{run_id}/{question_id(debate.question)}".encode()).hexdigest()[:32]
        at_ms = start_ms + len(chosen) - place  # The UI lists the newest first, so the first debate is the newest.
        tracing.log_spans(experiment_id, _spans(debate, key, at_ms))
        tags = {"maft.job": job, "maft.generation": str(generation)}
        info = _info(debate, key, at_ms, experiment_id=experiment_id, run_id=run_id, tags=tags)
        # This comes last, since it links the trace to the run.
        ids.append(tracing.start_trace(info).trace_id)
    return ids


def _info(
    debate: "_Debate", key: str, at_ms: int, *, experiment_id: str, run_id: str, tags: dict[str, str]
) -> "TraceInfo":
    """The row of a debate in the list of traces; `tags` name its job and its generation."""
    from mlflow.entities import TraceInfo, TraceLocation, TraceState
    from mlflow.tracing.constant import (
        TRACE_SCHEMA_VERSION,
        TRACE_SCHEMA_VERSION_KEY,
        TraceMetadataKey,
        TraceTagKey,
    )

    kind, name = debate.course.kind, f"generation {tags['maft.generation']}"
    verdict = "right" if debate.course.right else f"wrong, it is {debate.reference}"
    own = {"maft.problem": question_id(debate.question), "maft.kind": kind, TraceTagKey.TRACE_NAME: f"{name} · {kind}"}
    return TraceInfo(
        trace_id=f"tr-{key}",
        trace_location=TraceLocation.from_experiment_id(experiment_id),
        request_time=at_ms,
        execution_duration=len(debate.turns) + 1,
        state=TraceState.OK,
        request_preview=debate.question[:MAX_PREVIEW_CHARS],
        response_preview=f"{name}: {debate.course.vote.answer}, {verdict} ({kind})",
        trace_metadata={TraceMetadataKey.SOURCE_RUN: run_id, TRACE_SCHEMA_VERSION_KEY: str(TRACE_SCHEMA_VERSION)},
        tags={**tags, **own},
    )


@dataclass(frozen=True)
class _Debate:
    """The turns of the debate on one problem, and its course."""

    question: str
    reference: str
    turns: list[dict[str, Any]]
    course: Course


def _debates(frame: "pd.DataFrame", seed: int, grader: Grader) -> Iterator[_Debate]:
    for question, rows in frame.groupby("question", sort=False):
        turns = [{str(column): value for column, value in row.items()} for row in rows.to_dict("records")]
        rounds: dict[int, Ballots] = defaultdict(list)
        for turn in turns:
            rounds[turn["round"]].append((text_or_none(turn["answer"]), turn["weight"]))
        reference = turns[0]["reference"]
        went = course([*rounds.values()], question_id(str(question)), reference, seed, grader=grader)
        yield _Debate(str(question), reference, turns, went)


def _worth_reading(debates: Iterable[_Debate], limit: int) -> list[_Debate]:
    by_kind: dict[str, list[_Debate]] = {kind: [] for kind in get_args(Kind)}
    for debate in debates:
        by_kind[debate.course.kind].append(debate)
    return in_turns(by_kind, limit)


def _spans(debate: _Debate, key: str, at_ms: int) -> "list[Span]":
    """The spans of a debate: the root, one for each turn, and the vote; the unit of time is half a turn."""
    end = 2 * len(debate.turns) + 1
    answer, reference = _text(debate.course.vote.answer), _text(debate.reference)
    outcome = {"answer": answer, "reference": reference, "right": debate.course.right, "debate": debate.course.kind}
    last = debate.turns[-1]["round"]
    spans = [_span(key, at_ms, "debate", "CHAIN", (0, end), {"question": _text(debate.question)}, outcome)]
    for place, turn in enumerate(debate.turns):
        name, begin = f"round {turn['round']} · {turn['agent']}", 2 * place
        said = {"text": _text(turn["text"]), "answer": _text(turn["answer"])}
        read = _text(turn["summary"])
        asked = {"question": _text(debate.question)} if read is None else {"the others said": read}
        spans.append(_span(key, at_ms, name, "AGENT", (begin, begin + 2), asked, said, ["debate"]))
        if read is not None:
            others = [t["agent"] for t in debate.turns if t["round"] == turn["round"] - 1]
            others = [agent for agent in others if agent.split("-")[-1] in turn["heard"].split()]
            inside = (begin, begin + 1)
            path = ["debate", name]
            spans.append(
                _span(key, at_ms, "what the others said", "LLM", inside, {"agents": others}, {"text": read}, path)
            )
    answers = {turn["agent"]: _text(turn["answer"]) for turn in debate.turns if turn["round"] == last}
    counted = {"answer": answer, **debate.course.vote.model_dump(include={"votes", "voters", "tied"})}
    return [*spans, _span(key, at_ms, "vote", "TASK", (end - 1, end), answers, counted, ["debate"])]


def _span(
    key: str,
    at_ms: int,
    name: str,
    kind: str,
    times: tuple[int, int],
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    above: Sequence[str] = (),
) -> "Span":
    """A span in the form that MLflow stores; its id is a digest of its path in the tree."""
    from mlflow.entities import Span
    from mlflow.tracing.constant import SpanAttributeKey

    def encoded(names: Sequence[str]) -> str:
        return base64.b64encode(hashlib.sha256("/".join([key, *names]).encode()).digest()[:8]).decode()

    attributes = {
        SpanAttributeKey.REQUEST_ID: f"tr-{key}",
        SpanAttributeKey.SPAN_TYPE: kind,
        SpanAttributeKey.INPUTS: inputs,
        SpanAttributeKey.OUTPUTS: outputs,
    }
    begin, end = (1_000_000 * at_ms + _HALF_TURN_NS * half for half in times)
    return Span.from_dict(
        {
            "trace_id": base64.b64encode(bytes.fromhex(key)).decode(),
            "span_id": encoded([*above, name]),
            "parent_span_id": encoded(above) if above else None,
            "name": name,
            "start_time_unix_nano": begin,
            "end_time_unix_nano": end,
            "status": {"code": "STATUS_CODE_OK", "message": ""},
            "attributes": {name: json.dumps(value) for name, value in attributes.items()},
        }
    )


def _text(value: Any) -> str | None:
    """A text formatted as markdown code; None for a value that is not a text, such as pandas' missing value.

    The middle of a text longer than MAX_TEXT_CHARS is left out. The text is formatted as code, since MLflow shows texts
    as markdown: 26*17+7*4 would lose its stars, and a hostile model could insert a link or an image.
    """
    if not isinstance(value, str):
        return None
    text = value.replace("\0", "\N{REPLACEMENT CHARACTER}")  # Some databases refuse NUL.
    left_out = len(text) - MAX_TEXT_CHARS
    if left_out > 0:
        half = MAX_TEXT_CHARS // 2
        text = f"{text[:half]}\n[... {left_out:,} characters are left out ...]\n{text[-half:]}"
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    if len(text.splitlines()) > 1:
        fence = "`" * max(3, longest + 1)
        return f"{fence}\n{text}\n{fence}"
    ticks, space = "`" * (longest + 1), " " if longest else ""
    return f"{ticks}{space}{text}{space}{ticks}" if text.strip() else text
