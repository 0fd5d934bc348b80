"""The diversity of a society in one round: its agents' responses embedded, and their likelihoods under each agent."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agents.debate.responses import Said
from agents.engines.protocol import OnProgress
from agents.engines.transformers.resident import resident
from agents.frames import read_problems, read_responses
from agents.judging.embedding import Encoder, EncoderRef
from agents.records import Transcript
from agents.run import Run, silent
from agents.runners.settings import Part
from agents.society import Agent
from evaluation.frames import text_or_none
from evaluation.measures.diversity import (
    Diversity,
    consensus,
    embedding_dissimilarity,
    kl_divergence,
    nll_of_others,
    nll_of_own,
)
from evaluation.measures.styles import reasoning_style, style_shares
from evaluation.statistics.paired import Estimate

# torch takes seconds to import, so `likelihood` is imported where it is used.
if TYPE_CHECKING:
    from agents.judging.likelihood import Text

EMBEDDED = 100
"""How many problems, from the first, have their responses embedded: on a CPU an encoder is slower than the debate."""


def diversity(run: Run, agents: Sequence[Agent], *, transcript: Transcript, encoder: EncoderRef | None) -> Diversity:
    """All measures of `evaluation.measures.diversity` for the responses of the last round.

    The likelihood of a response is computed in the conversation in which it was given. For a critic, this includes its
    first answer and the summary that it read.

    Args:
        run: the base models, the engine and the store.
        agents: the agents that spoke in this round: generators in round 1, critics afterwards.
        transcript: the debate from round 1 up to this round.
        encoder: the sentence encoder for dissimilarity, see `agents.judging.embedding.Encoder`; None leaves this
            measure out.
    """
    from agents.judging.likelihood import Text

    problems = read_problems(run.store, transcript.problems)
    responses = read_responses(run.store, transcript.responses)
    round_, said = len(transcript.rounds), Said(responses, run.prompts, run.answers)
    here = responses[responses["round"] == round_].set_index(["problem_id", "index"])
    table = here[["text", "answer", "finished"]].to_dict("index")
    rows = [[table[problem.id, agent.index] for problem in problems] for agent in agents]
    texts = [
        Text(said.conversation(problem, agent.index, round_), place, bool(rows[place][number]["finished"]))
        for place, agent in enumerate(agents)
        for number, problem in enumerate(problems)
    ]
    some = min(EMBEDDED, len(problems))
    words = [str(row["text"]) for each in rows for row in each[:some]]
    answers = [[text_or_none(row["answer"]) for row in column] for column in zip(*rows, strict=True)]
    with run.progress(f"{run.label} · diversity") as tell:
        judged = _judged(run, agents, texts, tell)
    embedded = _embedded(run, encoder, words) if encoder and len(agents) > 1 else None
    return Diversity(
        agents=len(agents),
        round=round_,
        **judged,
        dissimilarity=None if embedded is None else embedding_dissimilarity(embedded.reshape(len(agents), some, -1)),
        consensus=consensus(answers, grader=run.answers),
        styles=style_shares([[reasoning_style(str(row["text"])) for row in each] for each in rows]),
    )


@functools.lru_cache(maxsize=1)
def _encoder(encoder: EncoderRef, device: str) -> Encoder:
    return Encoder(encoder.name, device)


def _embedded(run: Run, encoder: EncoderRef, words: Sequence[str]) -> NDArray[np.float64]:
    """The embeddings of the words, a row each, computed on the device of the base models."""
    _, run = run.sides[0]
    with silent("") as nobody:
        (found,) = run.runner.do(_embed, run, [Part((encoder, list(words)), len(words))], nobody)
    return np.asarray(found)


def _embed(run: Run, given: tuple[EncoderRef, list[str]], on_progress: OnProgress) -> NDArray[np.float64]:
    encoder, words = given
    if run.engine.asks_server and run.engine.reads_likelihoods:
        return _encoder(encoder, "cpu")(words)  # No base model is here, whose device it would share.
    device = resident(run.bases, run.runner, run.store.folders).of(0).model.device
    return _encoder(encoder, str(device))(words)


def _judged(
    run: Run, agents: Sequence[Agent], texts: Sequence["Text"], on_progress: OnProgress
) -> dict[str, Estimate | None]:
    """The measures that need likelihoods, for the texts agent by agent; None if they cannot be had or compared."""
    from agents.judging.likelihood import LikelihoodError, likelihoods_under

    shape = len(agents), len(texts) // len(agents)
    try:
        found = likelihoods_under(run, agents, texts, on_progress)
    except LikelihoodError:
        return dict.fromkeys(("nll", "own_nll", "kl"))
    tokens = found.tokens.reshape(shape)
    nll = found.nll.reshape(len(agents), *shape)
    divergence = None
    if found.kl is not None:
        # From (other, speaker, problem) to (speaker, other, problem).
        divergence = kl_divergence(np.swapaxes(found.kl.reshape(len(agents), *shape), 0, 1), tokens)
    return {"nll": nll_of_others(nll, tokens), "own_nll": nll_of_own(nll, tokens), "kl": divergence}
