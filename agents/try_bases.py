"""What a job's base models can do, tried before anything is sampled."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Literal

from agents.engines.base_model import Base, load_tokenizer
from agents.engines.base_model.room import free_bytes
from agents.engines.chat import Message, prompt_ids, turn_end
from agents.engines.debate_template import check_debate
from agents.engines.protocol import OnProgress, Request, Sampling
from agents.engines.transformers.resident import resident
from agents.hosted.section import in_hosted
from agents.run import Run, silent
from agents.runners.settings import Part
from agents.training.learner import write_files
from agents.training.settings import FinetuneSettings
from evaluation.record import Record

if TYPE_CHECKING:
    from agents.engines.transformers.engine import TransformersEngine


class TriedBase(Record):
    """What was found out about a base model."""

    base: str
    """Its name."""
    turn_end: str
    """The text that ends a turn in its chat template, which agents learn."""
    decoding: str | None
    """`loop`, or how transformers' `generate` is used; None if the engine's own program decodes."""
    why_not_loop: str
    training: Literal["together", "one at a time", "by the service"]
    """How its agents are trained."""
    why_one_at_a_time: str
    layers: tuple[str, ...]
    """The names of the layers that LoRA adapts; none if a service trains."""

    @property
    def notes(self) -> list[str]:
        """What is slower with this model than with others, a sentence each."""
        notes = []
        if self.why_not_loop:
            notes.append(
                f"{self.base} is decoded by transformers' {self.decoding}, which is slower: {self.why_not_loop}."
            )
        if self.why_one_at_a_time:
            notes.append(f"The agents of {self.base} are trained one at a time: {self.why_one_at_a_time}.")
        return notes


def try_bases(run: Run, *, finetune: FinetuneSettings, agents: int) -> list[TriedBase]:
    """Load the base models and refuse what a job would fail on later.

    Args:
        run: the base models, the engine and the store.
        finetune: how agents will be trained.
        agents: N, the number of generators and of critics.

    Raises:
        BaseModelError: a base model cannot be loaded or decoded, or its chat template cannot hold a debate.
        TrainingError: a base model lacks a layer that `finetune.target_modules` names, or the training does not fit
            into memory.
    """
    found: list[TriedBase] = []
    for index, side in run.sides:
        method = run.method_of(index, finetune)
        if side.engine.asks_server and method.asks_service:
            found += [_tried_tokenizer(base) for base in dict.fromkeys(side.bases.each)]
            continue
        own = [other for other in range(agents) if run.at_service(other) == run.at_service(index)]
        given = method, own, run.prompts.opening(""), side.engine.in_process
        with silent("") as nobody:
            (tried,) = run.runner.do(_try_bases, side, [Part(given, 1)], nobody)
        found += tried
    return found


def _try_bases(
    run: Run, given: tuple[FinetuneSettings, Sequence[int], Sequence[Message], bool], on_progress: OnProgress
) -> list[TriedBase]:
    finetune, agents, opening, decodes = given
    tried = []
    for index, base in enumerate(run.bases.each):
        if base in run.bases.each[:index]:
            continue
        engine = resident(run.bases, run.runner, run.store.folders).of(index)
        learners = 2 * sum(run.bases.of(other) == base for other in agents)
        tried.append(tried_base(engine, base.name, finetune, opening=opening, learners=learners, decodes=decodes))
    return tried


def _tried_tokenizer(base: Base) -> TriedBase:
    """What the tokenizer of a base model tells, whose weights are at a service."""
    tokenizer = load_tokenizer(base.source, base.trust_remote_code, base.chat_template, weights=False)
    check_debate(tokenizer, base.name)
    return TriedBase(
        base=base.name,
        turn_end=turn_end(tokenizer),
        decoding=None,
        why_not_loop="",
        training="by the service",
        why_one_at_a_time="",
        layers=(),
    )


def try_engines(run: Run, *, finetune: FinetuneSettings) -> None:
    """Let each engine whose model is in another program speak one token with an untrained adapter, which it must load.

    If a service trains the agents, it speaks as the base.

    Raises:
        EngineError: it cannot; the message says what to change.
    """
    for index, side in run.sides:
        method = run.method_of(index, finetune)
        if side.engine.in_process:
            continue
        adapter = None
        if not method.asks_service:
            with silent("") as nobody:
                (files,) = run.runner.do(_untrained, side, [Part(method, 1)], nobody)
            adapter = run.store.put_folder(partial(write_files, files), rows=0).sha256
        request = Request([{"role": "user", "content": "Hello!"}], adapter, seed=0, max_new_tokens=1)
        with silent("") as nobody, in_hosted() if run.at_service(index) else nullcontext():
            side.complete([request], Sampling(), nobody)


def _untrained(run: Run, finetune: FinetuneSettings, on_progress: OnProgress) -> dict[str, bytes]:
    # Imported here, since it imports torch, which takes seconds and is not needed by a job served from cache.
    from agents.training.adapters import untrained, untrained_adapter

    with untrained(resident(run.bases, run.runner, run.store.folders).of(0).model, finetune) as tuned:
        return untrained_adapter(tuned).files()


def tried_base(  # noqa: PLR0913
    engine: "TransformersEngine",
    name: str,
    finetune: FinetuneSettings,
    *,
    opening: Sequence[Message],
    learners: int,
    decodes: bool,
) -> TriedBase:
    """Try one base model in memory, see `try_bases`.

    Args:
        engine: the engine on the model.
        name: the name of the base model.
        finetune: how agents will be trained.
        opening: the messages with which each conversation begins.
        learners: the number of agents that are trained on the model.
        decodes: whether this engine will sample the responses.
    """
    # Imported here, since they import torch, which takes seconds and is not needed by a job served from cache.
    from agents.training.adapters import untrained, weights_of
    from agents.training.modules import check_modules
    from agents.training.room import check_training_room, training_memory

    check_debate(engine.tokenizer, name)
    check_modules(engine.model, finetune)
    decoding = engine.decoding if decodes else None
    one_at_a_time = finetune.why_one_at_a_time(engine.model)
    with untrained(engine.model, finetune) as tuned:
        needs, layers = training_memory(tuned, finetune), {_layer(weight) for weight in weights_of(tuned, "default")}
    (shortest,) = prompt_ids(engine.tokenizer, [opening])
    free = free_bytes(str(engine.model.device))
    check_training_room(needs, finetune, learners=learners, prompt_tokens=len(shortest), free=free)
    return TriedBase(
        base=name,
        turn_end=turn_end(engine.tokenizer),
        decoding=decoding.name if decoding else None,
        why_not_loop=decoding.reason if decoding else "",
        training="one at a time" if one_at_a_time else "together",
        why_one_at_a_time=one_at_a_time or "",
        layers=tuple(sorted(layers)),
    )


def _layer(weight: str) -> str:
    """The layer of an adapter's weight, such as q_proj."""
    return weight.partition(".lora_")[0].removesuffix(".base_layer").rpartition(".")[2]
