"""Takes a sample of a job: a debate over a few of its problems, the vote, the split, and one epoch of training."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from agents.algorithm import Settings, hold_debate, split_among
from agents.engines.base_model import Base, load_tokenizer
from agents.engines.protocol import Sampling
from agents.frames import problems_frame, read_responses
from agents.hosted.spending import Tokens
from agents.preview import memory
from agents.preview.conversations import conversations
from agents.preview.records import Conversation, Sample, Shares
from agents.preview.watch import Steps, WatchedRun
from agents.records import Consensus, Dataset, Finetuned, Stream, Transcript
from agents.run import Run, silent
from agents.society import Society
from agents.training.examples import encode
from agents.training.settings import FinetuneSettings
from agents.try_bases import TriedBase, try_bases
from evaluation.measures.debates import response_shares
from evaluation.problems.problem import Problem
from evaluation.record import Record
from evaluation.scores import GenerationScores

NOT_TRAINED = {
    "trained_tokens": 0,
    "training_speed": None,
    "training_start_seconds": 0.0,
    "reading_speed": 0.0,
    "tuned_peak_bytes": 0,
    "adapter_bytes": 0,
}
"""Fields of the `Sample` of agents that a service trains: it would be paid for a training, so none is made."""


class Taken(Record):
    """A sample, and the debates that it was measured on."""

    sample: Sample
    shares: Shares
    conversations: list[Conversation]
    tried: list[TriedBase]


class _Debated(NamedTuple):
    transcript: Transcript
    consensus: Consensus
    datasets: list[Dataset]
    scores: GenerationScores
    measured: dict[str, Any]
    """Fields of a `Sample`."""


def take_sample(
    run: Run, society: Society, *, problems: Sequence[Problem], settings: Settings, iteration: int
) -> Taken:
    """Hold a debate over some problems of a job, and train on its examples for one epoch.

    Args:
        run: the base models, the engine and a store of its own, which is empty but for the society's adapters.
        society: the generation that the job starts from.
        problems: some of the job's training problems.
        settings: those of the job.
        iteration: number of the job's first iteration, so that the responses are those that the job will sample.

    Raises:
        BaseModelError, TrainingError, EngineError: see `agents.try_bases`.
        EngineError: the engine gave up.
    """
    started = time.monotonic()
    tried = try_bases(run, finetune=settings.finetune, agents=len(society.generators))
    watched, load_seconds = WatchedRun.of(run), time.monotonic() - started
    stream = Stream(seed=settings.seed, purpose="train", iteration=iteration)
    debated = _debate(watched, society, problems=problems, settings=settings, stream=stream)
    told = conversations(watched, society, transcript=debated.transcript, consensus=debated.consensus)
    said = [completion for call in watched.calls for completion in call.completions]
    sampled = sum(completion.sampled_tokens for completion in said)
    sample = Sample(
        problems=len(problems),
        sampled_tokens=sampled,
        prompt_tokens=sum(completion.prompt_tokens for completion in said),
        sampling_speed=sampled / sum(call.seconds for call in watched.calls),
        rows=min(run.runner.batch_rows, max(len(call.requests) for call in watched.calls)),
        row_bytes=memory.prompt_bytes(run, max(each.prompt_tokens + each.sampled_tokens for each in said)),
        service=_by_service(watched, society, datasets=debated.datasets, finetune=settings.finetune),
        examples={a.name: data.examples.rows for a, data in zip(society.agents, debated.datasets, strict=True)},
        load_seconds=load_seconds,
        **debated.measured,
        **_train(watched, society, datasets=debated.datasets, settings=settings, stream=stream),
    )
    return Taken(sample=sample, shares=_shares(run, debated, told), conversations=told, tried=tried)


def _debate(
    run: WatchedRun, society: Society, *, problems: Sequence[Problem], settings: Settings, stream: Stream
) -> _Debated:
    """The debate and all that is made of it before the training."""
    started, steps = time.monotonic(), run.steps
    x = run.store.put_frame(problems_frame(problems))
    y = hold_debate(run, society, x=x, settings=settings, stream=stream)
    debated, peak = time.monotonic(), memory.peak_bytes(run)
    consensus = steps.vote(run, y, min_votes=settings.finetune.min_votes)
    datasets = split_among(run, society.agents, y=y, consensus=consensus, settings=settings)
    scores = steps.evaluate(run, y)
    measured = {
        "debate_seconds": debated - started,
        "grading_seconds": time.monotonic() - debated,
        "sampling_peak_bytes": peak,
        "frame_bytes": sum(file.stat().st_size for file in (run.store.root / "frames").iterdir()),
    }
    return _Debated(y, consensus, datasets, scores, measured)


def _train(
    run: WatchedRun, society: Society, *, datasets: Sequence[Dataset], settings: Settings, stream: Stream
) -> dict[str, Any]:
    """One epoch over all examples, after which one of the agents that learned reads its prompts again.

    Memory that the training frees is not all given back, and what a tuned agent needs comes on top of it.
    """
    if settings.finetune.asks_service:
        return NOT_TRAINED | {"process_peak_bytes": memory.process_peak_bytes()}
    own = [
        (agent, data) for agent, data in zip(society.agents, datasets, strict=True) if not run.at_service(agent.index)
    ]
    once, steps = settings.finetune.model_copy(update={"epochs": 1}), Steps()
    started = time.monotonic()
    with steps.watching(run) as watched:
        tuned = run.steps.finetune(
            watched, [agent for agent, _ in own], datasets=[data for _, data in own], settings=once, stream=stream
        )
    seconds, tokens = time.monotonic() - started, sum(each.trained_tokens for each in tuned)
    steady, begun = steps.steady_share * tokens, steps.steady_seconds
    if not steady:  # Every agent made one step, so nothing tells its time from that of the start.
        steady, begun = tokens, seconds
    speed = steady / begun if tokens else None
    reading_speed = _reading_speed(run, tuned, settings.sampling)
    folders = {run.store.folder(each.adapter.sha256) for each in tuned if each.adapter}
    return {
        "trained_tokens": tokens,
        "training_speed": speed,
        "training_start_seconds": seconds - tokens / speed if speed else 0.0,
        "reading_speed": reading_speed,
        "tuned_peak_bytes": memory.peak_bytes(run),
        "process_peak_bytes": memory.process_peak_bytes(),
        "adapter_bytes": sum(file.stat().st_size for folder in folders for file in folder.iterdir()),
    }


def _tokens(run: WatchedRun, base: Base, datasets: Sequence[Dataset]) -> int:
    """The tokens of all examples, prompts included."""
    tokenizer, tokens = load_tokenizer(base.source, base.trust_remote_code, base.chat_template, weights=False), 0
    for dataset in datasets:
        told = [json.loads(text) for text in run.store.frame(dataset.examples)["messages"]]
        tokens += sum(map(len, encode(told, tokenizer)))
    return tokens


def _by_service(
    run: WatchedRun, society: Society, *, datasets: Sequence[Dataset], finetune: FinetuneSettings
) -> Tokens:
    """The tokens of the agents at a service; those of their examples once, if it trains them."""
    there = {agent.index for agent in society.agents if run.side(agent.index).engine.asks_server}
    said = [
        completion
        for call in run.calls
        for request, completion in zip(call.requests, call.completions, strict=True)
        if request.agent in there
    ]
    learned = [
        data
        for agent, data in zip(society.agents, datasets, strict=True)
        if agent.index in there and run.method_of(agent.index, finetune).asks_service
    ]
    return Tokens(
        prompt=sum(each.prompt_tokens for each in said),
        sampled=sum(each.sampled_tokens for each in said),
        trained=_tokens(run, run.bases.of(min(there)), learned) if learned else 0,
    )


def _reading_speed(run: WatchedRun, tuned: Sequence[Finetuned], sampling: Sampling) -> float:
    """Tokens of prompts per second, if one token is sampled after each of one agent's prompts of the last round.

    The agent speaks with its new adapter, if there is one and the engine is in this process.
    """
    asked = [request for request in run.calls[-1].requests if not run.at_service(request.agent)]
    learned = [each.agent for each in tuned if each.adapter and run.engine.in_process]
    speaker = learned[-1] if learned else None
    index = speaker.index if speaker else asked[-1].agent
    own = [
        replace(each, max_new_tokens=1, adapter=speaker.adapter if speaker else each.adapter)
        for each in asked
        if each.agent == index
    ]
    started = time.monotonic()
    with silent("") as tell:
        said = run.complete(own, sampling, tell)
    return sum(each.prompt_tokens for each in said) / (time.monotonic() - started)


def _shares(run: Run, debated: _Debated, told: Sequence[Conversation]) -> Shares:
    turns = [turn for conversation in told for turn in conversation.transcript]
    responses = response_shares(read_responses(run.store, debated.transcript.responses))
    return Shares(
        **responses.model_dump(),
        right_share=sum(turn.right for turn in turns) / len(turns),
        accuracy=debated.scores.accuracy,
        consensus=debated.scores.consensus,
        kept_share=debated.consensus.kept / len(told),
        tokens_per_response=sum(turn.tokens for turn in turns) / len(turns),
    )
