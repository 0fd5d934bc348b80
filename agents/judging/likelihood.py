"""The log-likelihood of every response under every agent, and the divergences of the agents' token distributions.

Each agent is a base model in memory with its adapter merged, as when the agent spoke. A divergence needs the logits of
two agents over the whole vocabulary, so the logits of all agents are kept for one portion of the texts at a time; they
take at most `KEPT_BYTES`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from agents.engines.base_model import load_tokenizer
from agents.engines.protocol import OnProgress
from agents.engines.transformers.by_loop import PORTION_TOKENS
from agents.engines.transformers.engine import TransformersEngine, speaking_as
from agents.engines.transformers.resident import resident
from agents.hosted.adapter import WEIGHTS, read_hosted
from agents.hosted.reading import read_once
from agents.hosted.section import in_hosted
from agents.run import Run
from agents.runners.settings import Part
from agents.society import Agent
from agents.split import Example
from agents.training.examples import Encoded, encode, padded

KEPT_BYTES = {"cpu": 2**28, "cuda": 2**32}
"""Maximum bytes of logits kept at once, for all agents together, by device."""
DOUBLE_VALUES = 2**22
"""Maximum number of logits of one agent that are in double precision at once."""


class LikelihoodError(ValueError):
    """The likelihoods of some texts cannot be had, or not compared."""


class UnlikeTokensError(LikelihoodError):
    """Agents of different bases split the texts into different tokens, so their likelihoods cannot be compared."""


@dataclass(frozen=True)
class Reader:
    """An agent that reads texts: the engine of its base, and the SHA-256 of its adapter (None for the base itself)."""

    engine: TransformersEngine
    adapter: str | None


@dataclass(frozen=True)
class Text:
    """A response, as the last turn of the conversation in which it was given."""

    messages: Example
    speaker: int
    """Index of the agent that gave the response."""
    finished: bool
    """Whether the response ended by itself; then its end counts too."""


@dataclass(frozen=True)
class Likelihoods:
    """The likelihoods of R texts under A agents."""

    tokens: NDArray[np.float64]
    """(R,), number of tokens of each response."""
    nll: NDArray[np.float64]
    """(A, R), nats: -ln of the likelihood of each response under each agent, given its prompt."""
    kl: NDArray[np.float64] | None
    """(A, R), nats: KL(p_speaker || p_a), summed over the tokens of each response; None if the whole distributions are
    not known, as with agents at a service."""


def likelihoods_under(run: Run, agents: Sequence[Agent], texts: Sequence[Text], on_progress: OnProgress) -> Likelihoods:
    """As `likelihoods`, divided among the places of the run's runner; or read by the service that speaks.

    Args:
        run: the base models, the engine, the store and the runner.
        agents: the agents that read.
        texts: responses of these agents.
        on_progress: called with (texts done, texts in all).

    Raises:
        UnlikeTokensError: as in `likelihoods`.
        LikelihoodError: the weights of an agent are at a service that gives no likelihoods.
        EngineError: the service gave up.
    """
    if run.hosted:
        return _from_both_sides(run, agents, texts, on_progress)
    if run.engine.asks_server and run.engine.reads_likelihoods:
        return _served(run, agents, texts, on_progress)
    run.store.fetch({agent.adapter for agent in agents if agent.adapter})
    for agent in agents:
        folder = run.store.folders / agent.adapter if agent.adapter else None
        if folder and read_hosted(folder) and not (folder / WEIGHTS).is_file():
            raise LikelihoodError(f"the weights of {agent.name} are at a service, which gives no likelihoods")
    places = max(1, min(run.runner.places, len(texts)))
    adapters = frozenset(agent.adapter for agent in agents if agent.adapter)
    parts = [Part((list(agents), list(texts), (n, places)), len(texts) / places, adapters) for n in range(places)]
    shares: list[Likelihoods] = run.runner.do(_read, run, parts, on_progress)
    return Likelihoods(
        tokens=shares[0].tokens,
        # Each text is read in one place, and is zero in the others.
        nll=np.sum([share.nll for share in shares], axis=0),
        kl=np.sum([share.kl for share in shares if share.kl is not None], axis=0),
    )


def _from_both_sides(run: Run, agents: Sequence[Agent], texts: Sequence[Text], on_progress: OnProgress) -> Likelihoods:
    """The likelihoods under the agents of each side; a divergence between sides is not known."""
    sides = {there: [agent for agent in agents if run.at_service(agent.index) == there] for there in (False, True)}
    present = {there: own for there, own in sides.items() if own}
    if len(present) == 1:
        return likelihoods_under(run.side(agents[0].index), agents, texts, on_progress)
    _check_common_tokens(run, agents, texts)
    # The speaker matters for divergences alone, and may be on the other side.
    own_texts = [replace(text, speaker=0) for text in texts]
    found: dict[str, NDArray[np.float64]] = {}
    for number, own in enumerate(present.values()):
        tell = partial(_tell, on_progress, number, len(present))
        with in_hosted() if run.at_service(own[0].index) else nullcontext():
            read = likelihoods_under(run.side(own[0].index), own, own_texts, tell)
        found |= {agent.name: nll for agent, nll in zip(own, read.nll, strict=True)}
    return Likelihoods(tokens=read.tokens, nll=np.stack([found[agent.name] for agent in agents]), kl=None)


def _check_common_tokens(run: Run, agents: Sequence[Agent], texts: Sequence[Text]) -> None:
    """Refuse bases that split the texts into different tokens, before anything is read or paid."""
    bases = dict.fromkeys(run.bases.of(agent.index) for agent in agents)
    if len(bases) == 1:
        return
    tokenizers = [load_tokenizer(b.source, b.trust_remote_code, b.chat_template, weights=False) for b in bases]
    finished = [text.finished for text in texts]
    split = [[row.target for row in encode([text.messages for text in texts], each, finished)] for each in tokenizers]
    vocabularies = [each.get_vocab() for each in tokenizers]
    if any(each != split[0] for each in split) or any(each != vocabularies[0] for each in vocabularies):
        raise UnlikeTokensError("the bases have different tokenizers, so their likelihoods cannot be compared")


def _tell(on_progress: OnProgress, before: int, parts: int, done: int, total: int) -> None:
    """Tell the progress of one of several equal parts; `before` are done already."""
    on_progress(before * total + done, parts * total)


def _served(run: Run, agents: Sequence[Agent], texts: Sequence[Text], on_progress: OnProgress) -> Likelihoods:
    """The likelihoods that a service gives; each adapter reads once, whichever agents have it."""
    engine: Any = run.engine.open(run.bases, run.runner, run.store.folders)
    adapters = list(dict.fromkeys(agent.adapter for agent in agents))
    run.store.fetch({adapter for adapter in adapters if adapter})
    rows = encode([text.messages for text in texts], engine.tokenizer, [text.finished for text in texts])
    read = {
        adapter: read_once(
            partial(engine.likelihoods, engine.speaker(adapter)),
            [(row.prompt, row.target) for row in rows],
            reader=adapter or "base",
            settings=run.engine,
            journal=run.journal,
            on_progress=partial(_tell, on_progress, place, len(adapters)),
        )
        for place, adapter in enumerate(adapters)
    }
    return Likelihoods(
        tokens=np.array([float(len(row.target)) for row in rows]),
        nll=np.array([read[agent.adapter] for agent in agents]),
        kl=None,
    )


def _read(
    run: Run, given: tuple[Sequence[Agent], Sequence[Text], tuple[int, int]], on_progress: OnProgress
) -> Likelihoods:
    agents, texts, share = given
    engine = resident(run.bases, run.runner, run.store.folders)
    readers = [Reader(engine.of(agent.index), agent.adapter) for agent in agents]
    return likelihoods(readers, texts, on_progress, share=share)


def likelihoods(
    readers: Sequence[Reader], texts: Sequence[Text], on_progress: OnProgress, *, share: tuple[int, int] = (0, 1)
) -> Likelihoods:
    """The likelihood of every text under every agent, and the divergence of each agent from the text's speaker.

    Logits have the model's type; all further computation is in double precision. Agents with the same adapter cost as
    much as one agent. Each agent reads the prompt in its own chat template.

    Args:
        readers: the agents.
        texts: responses of these agents; an empty, unfinished response has no tokens, and zeros in all results.
        on_progress: called with (texts done, texts in all).
        share: (n, k) to read only every k-th portion from the n-th on; the other texts have zeros. A text's portion,
            and so its result, does not depend on it.

    Raises:
        UnlikeTokensError: agents of different bases have different vocabularies or split a text into different tokens.
    """
    different = list(dict.fromkeys(readers))
    which = [different.index(reader) for reader in readers]
    encoded = {engine: _encoded(engine, texts) for engine in dict.fromkeys(reader.engine for reader in different)}
    targets = _common_targets(encoded)
    nll = np.zeros((len(different), len(texts)))
    kl = np.zeros((len(different), len(texts)))
    done = 0
    for places in islice(_portions(different, encoded), share[0], None, share[1]):
        counts = [len(targets[place]) for place in places]
        logits = []
        for reader in different:
            engine, rows = reader.engine, [encoded[reader.engine][place] for place in places]
            with speaking_as(engine.model, engine.adapters / reader.adapter if reader.adapter else None):
                logits.append(torch.split(_response_logits(engine, rows), counts))
        for number, place in enumerate(places):
            target = torch.tensor(targets[place], device=logits[0][number].device)
            speaker = which[texts[place].speaker]
            nll[:, place], kl[:, place] = compare([each[number] for each in logits], target, speaker)
        done += len(places)
        on_progress(done, len(texts))
    tokens = np.array([len(target) for target in targets], dtype=float)
    return Likelihoods(tokens=tokens, nll=nll[which], kl=kl[which])


@torch.inference_mode()
def compare(logits: Sequence[torch.Tensor], target: torch.Tensor, speaker: int) -> tuple[list[float], list[float]]:
    """For one response, by agent: -sum_t ln p_a(target_t), and sum_t sum_v p_s(v) ln(p_s(v) / p_a(v)) for speaker s.

    A token with probability zero under the speaker adds nothing to the divergence. A token with probability zero under
    the other agent, but not under the speaker, makes the divergence infinite.

    Args:
        logits: a tensor (T, V) for each agent, of any type; the computation is in double precision.
        target: (T,), the tokens of the response.
        speaker: index of s.

    Returns:
        Two lists with a number for each agent, in nats.
    """
    nll, kl = [0.0] * len(logits), [0.0] * len(logits)
    slices = max(1, DOUBLE_VALUES // logits[0].shape[1])
    for start in range(0, len(target), slices):
        here = slice(start, start + slices)
        own = logits[speaker][here].double().log_softmax(dim=1)
        probability = own.exp()
        for agent, each in enumerate(logits):
            other = own if agent == speaker else each[here].double().log_softmax(dim=1)
            nll[agent] -= float(other.gather(1, target[here, None]).sum())
            if agent != speaker:
                kl[agent] += float(torch.where(probability > 0, probability * (own - other), 0.0).sum())
    return nll, kl


def _encoded(engine: TransformersEngine, texts: Sequence[Text]) -> list[Encoded]:
    return encode([text.messages for text in texts], engine.tokenizer, [text.finished for text in texts])


def _common_targets(encoded: Mapping[TransformersEngine, Sequence[Encoded]]) -> list[list[int]]:
    """The tokens of each text, which are the same for all engines."""
    by_engine = [[row.target for row in rows] for rows in encoded.values()]
    vocabularies = [engine.tokenizer.get_vocab() for engine in encoded] if len(encoded) > 1 else []
    widths = {_width(engine) for engine in encoded}
    if any(each != by_engine[0] for each in by_engine) or any(each != vocabularies[0] for each in vocabularies):
        raise UnlikeTokensError("the bases have different tokenizers, so their likelihoods cannot be compared")
    if len(widths) > 1:
        raise UnlikeTokensError(f"the bases have vocabularies of different sizes: {sorted(widths)} tokens")
    return by_engine[0]


def _width(engine: TransformersEngine) -> int:
    return int(engine.model.config.get_text_config().vocab_size)


def _portions(
    readers: Sequence[Reader], encoded: Mapping[TransformersEngine, Sequence[Encoded]]
) -> Iterator[list[int]]:
    """Indices of texts of similar length whose logits fit into `KEPT_BYTES`; texts without tokens are left out."""
    size = sum(_width(reader.engine) * reader.engine.model.dtype.itemsize for reader in readers)
    most = KEPT_BYTES[readers[0].engine.model.device.type] // size
    rows = encoded[readers[0].engine]
    portion: list[int] = []
    kept = 0
    for place in sorted(range(len(rows)), key=lambda place: max(len(each[place]) for each in encoded.values())):
        tokens = len(rows[place].target)
        if portion and kept + tokens > most:
            yield portion
            portion, kept = [], 0
        if tokens:
            portion.append(place)
            kept += tokens
    if portion:
        yield portion


@torch.inference_mode()
def _response_logits(engine: TransformersEngine, rows: Sequence[Encoded]) -> torch.Tensor:
    """Logits (response tokens of all rows, V) that predict the response tokens, read a few rows at a time."""
    device = engine.model.device
    most = PORTION_TOKENS[device.type]
    logits = []
    start = 0
    while start < len(rows):
        # Rows are sorted by length, so the last is the widest; with different chat templates, nearly the widest.
        end = start + 1
        while end < len(rows) and (end + 1 - start) * len(rows[end]) <= most:
            end += 1
        ids, labels = padded(rows[start:end])
        # Each position predicts the label of the next position.
        wanted = pad(labels[:, 1:], (0, 1), value=-100) != -100
        # The head is applied only to columns with a token that counts.
        columns = wanted.any(0).nonzero().squeeze(1)
        # Padding is on the right, where no token that counts can see it.
        read = engine.model(input_ids=ids.to(device), use_cache=False, logits_to_keep=columns.to(device)).logits
        logits.append(read[wanted[:, columns].to(device)])
        start = end
    return torch.cat(logits)
