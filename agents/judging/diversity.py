"""The diversity of a society's agents in one round of a debate: what they said, embedded and judged by one another."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from agents.debate.responses import Said
from agents.engines.protocol import OnProgress
from agents.engines.transformers.engine import TransformersEngine
from agents.engines.transformers.mixed import MixedEngine
from agents.judging.likelihood import Reader, Text, UnlikeTokensError, likelihoods
from agents.society import Agent
from evaluation.measures.diversity import (
    Array,
    Diversity,
    consensus,
    embedding_dissimilarity,
    kl_divergence,
    nll_of_others,
    nll_of_own,
)
from evaluation.measures.styles import reasoning_style, style_shares
from evaluation.problems.problem import Problem
from evaluation.statistics.paired import Estimate

EMBEDDED = 100
"""Problems whose responses are embedded, the first ones: on a CPU an encoder takes longer than the debate did."""


def diversity(
    engine: TransformersEngine | MixedEngine,
    agents: Sequence[Agent],
    problems: Sequence[Problem],
    responses: pd.DataFrame,
    round_: int,
    embed: Callable[[Sequence[str]], Array] | None,
    on_progress: OnProgress,
) -> Diversity:
    """All measures of `evaluation.measures.diversity` for the responses of one round.

    Each response is judged in the conversation in which it was given: a critic's, after its own first answer and the
    summary that it read.

    Args:
        engine: with the base models of the agents and the folder of their adapters.
        agents: those who spoke in this round, generators in round 1 and critics afterwards.
        problems: with a response of every agent in rounds 1..round_.
        responses: with the columns of `agents.debate.responses.COLUMNS`; those of later rounds are not read.
        round_: from 1.
        embed: texts to embeddings (texts, D), such as `agents.judging.embedding.Encoder`; without it no dissimilarity.
        on_progress: told the responses whose likelihoods are done.
    """
    said = Said(responses)
    here = responses[responses["round"] == round_].set_index(["problem_id", "index"])
    table = here[["text", "answer", "finished"]].to_dict("index")
    rows = [[table[problem.id, agent.index] for problem in problems] for agent in agents]
    texts = [
        Text(said.conversation(problem, agent.index, round_), place, bool(rows[place][number]["finished"]))
        for place, agent in enumerate(agents)
        for number, problem in enumerate(problems)
    ]
    shape = len(agents), len(problems)
    some = min(EMBEDDED, len(problems))
    words = [str(row["text"]) for each in rows for row in each[:some]]
    return Diversity(
        agents=len(agents),
        round=round_,
        **_judged([Reader(engine.of(agent.index), agent.adapter) for agent in agents], texts, shape, on_progress),
        dissimilarity=embedding_dissimilarity(embed(words).reshape(len(agents), some, -1))
        if embed and len(agents) > 1
        else None,
        consensus=consensus([[_answer(row["answer"]) for row in column] for column in zip(*rows, strict=True)]),
        styles=style_shares([[reasoning_style(str(row["text"])) for row in each] for each in rows]),
    )


def _judged(
    readers: Sequence[Reader], texts: Sequence[Text], shape: tuple[int, int], on_progress: OnProgress
) -> dict[str, Estimate | None]:
    """The measures that take the agents' own distributions, over texts that fill the shape (agents, problems)."""
    try:
        found = likelihoods(readers, texts, on_progress)
    except UnlikeTokensError:
        return dict.fromkeys(("nll", "own_nll", "kl"))
    tokens = found.tokens.reshape(shape)
    nll = found.nll.reshape(len(readers), *shape)
    # From (other, speaker, problem) to pairs that begin with the speaker.
    kl = np.swapaxes(found.kl.reshape(len(readers), *shape), 0, 1)
    return {"nll": nll_of_others(nll, tokens), "own_nll": nll_of_own(nll, tokens), "kl": kl_divergence(kl, tokens)}


def _answer(value: object) -> str | None:
    """A frame gives back a missing answer as NaN."""
    return value if isinstance(value, str) and value.strip() else None
