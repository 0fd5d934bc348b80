"""How much the agents of a society differ: five measures of one round's responses.

Likelihood, embedding dissimilarity, KL divergence and consensus are the paper's measures ("Multiagent Finetuning",
Subramaniam et al., ICLR 2025, https://arxiv.org/abs/2501.05707); reasoning styles are an addition. This file computes
them from arrays; `agents.judging.likelihood` and `agents.judging.embedding` do the work that needs a model.

Axes: A agents, P problems, D dimensions. Every measure has a standard error over the problems. A mean per token is a
ratio of two sums over problems, so its error is that of the linearised ratio (Cochran, "Sampling Techniques", 1977,
section 6.4); if all responses have the same number of tokens, it is s / sqrt(P).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from evaluation.answers.grader import Grader
from evaluation.answers.kinds.math import MATH
from evaluation.answers.vote import tally
from evaluation.measures.styles import Styles
from evaluation.record import Record
from evaluation.statistics.paired import Estimate, standard_error

Array = NDArray[np.float64]


class Diversity(Record):
    """The diversity of a society's agents in one round.

    A measure is None if there is nothing to measure, for example with one agent. The measures per token are also None
    if the agents' bases have different tokenizers, since their tokens differ.
    """

    agents: int = Field(ge=1)
    round: int = Field(ge=1)
    nll: Estimate | None = Field(description="Negative log-likelihood of the others' responses, nats per token.")
    own_nll: Estimate | None = Field(description="Negative log-likelihood of own responses, nats per token.")
    kl: Estimate | None = Field(description="KL divergence, nats per token, mean over ordered pairs of agents.")
    dissimilarity: Estimate | None = Field(description="1 - cosine of embeddings, mean over pairs of agents, 0..2.")
    consensus: Estimate = Field(description="Share of agents that give the majority answer, 0..1.")
    styles: Styles | None = Field(description="Reasoning styles; None if no response has a known style.")


def nll_of_others(nll: Array, tokens: Array) -> Estimate | None:
    """Negative log-likelihood of the other agents' responses under an agent held out: L in the paper's figures.

    For every agent i, the sum of -ln p_i(y_j | what j was asked) over the responses y_j of all others, divided by
    their tokens; then the mean over the agents. It is higher if the agents are less likely to give the others'
    responses. For identical agents it is the entropy of their responses (`nll_of_own`), not zero.

    Args:
        nll: (A, A, P), nats; [i, j, p] is the sum over the tokens of j's response to problem p under agent i.
        tokens: (A, P), tokens of j's response to p.

    Returns:
        Nats per token. None for fewer than two agents, or if the others' responses have no tokens.
    """
    others = ~np.eye(len(nll), dtype=bool)[:, :, None]
    return _mean_of_ratios(np.where(others, nll, 0.0).sum(axis=1), np.where(others, tokens, 0.0).sum(axis=1))


def nll_of_own(nll: Array, tokens: Array) -> Estimate | None:
    """Negative log-likelihood of each agent's own responses: what `nll_of_others` would be if all agents were alike.

    Args:
        nll, tokens: as for `nll_of_others`.

    Returns:
        Nats per token, mean over the agents. None if an agent's responses have no tokens.
    """
    agents = np.arange(len(nll))
    return _mean_of_ratios(nll[agents, agents], tokens)


def kl_divergence(kl: Array, tokens: Array) -> Estimate | None:
    """KL divergence between the agents' token distributions on the same text, mean over ordered pairs of agents.

    For the pair (i, j): the mean of sum_v p_i(v) ln(p_i(v) / p_j(v)) over the tokens of i's own responses, both given
    the text before the token. By the chain rule this estimates KL(p_i || p_j) between whole responses, per token. The
    paper's mean of ln p_i(y) - ln p_j(y) estimates the same, with more noise.

    Args:
        kl: (A, A, P), nats; [i, j, p] is the sum over the tokens of i's response to problem p.
        tokens: (A, P), tokens of i's response to p.

    Returns:
        Nats per token. None for fewer than two agents, or if an agent's responses have no tokens.
    """
    first, second = np.nonzero(~np.eye(len(kl), dtype=bool))
    return _mean_of_ratios(kl[first, second], tokens[first])


def embedding_dissimilarity(embeddings: Array) -> Estimate | None:
    """1 - cosine similarity of the embeddings of two agents' responses to the same problem, mean over pairs of agents.

    Args:
        embeddings: (A, P, D); an embedding may have any length except zero.

    Returns:
        0 (all alike) to 2. None for fewer than two agents.

    Raises:
        ValueError: an embedding is zero or not finite, so it has no direction.
    """
    if len(embeddings) < 2:
        return None
    lengths = np.linalg.norm(embeddings, axis=2, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError("an embedding is zero or not finite; an encoder that works gives every text a direction")
    units = embeddings / lengths
    cosines = np.einsum("apd,bpd->pab", units, units)
    first, second = np.triu_indices(len(embeddings), k=1)
    return _mean(1.0 - cosines[:, first, second].mean(axis=1))


def consensus(answers: Sequence[Sequence[str | None]], *, grader: Grader = MATH) -> Estimate:
    """Share of the agents that give the majority answer (`evaluation.answers.vote.tally`), mean over problems, 0..1.

    An agent without an answer agrees with nobody but stays in the count; if no agent has one, the share is 0.

    Args:
        answers: by problem, then by agent.
        grader: decides which answers are equivalent.

    Raises:
        ValueError: no problems.
    """
    # The seed changes nothing: tied answers have equally many agents.
    return _mean([sum(tally(each, seed=0, grader=grader).agrees) / len(each) for each in answers])


def _mean(values: Sequence[float] | Array) -> Estimate:
    error = standard_error([float(value) for value in values])
    return Estimate(value=float(np.mean(values)), standard_error=error)


def _mean_of_ratios(sums: Array, counts: Array) -> Estimate | None:
    """Mean over rows of sum / count, both (rows, P) summed over problems; None if a count is 0 or without rows."""
    totals = counts.sum(axis=1, keepdims=True)
    if not totals.size or not totals.all():
        return None
    ratios = sums.sum(axis=1, keepdims=True) / totals
    influence = ((sums - ratios * counts) * sums.shape[1] / totals).mean(axis=0)
    return Estimate(value=float(ratios.mean()), standard_error=standard_error(influence.tolist()))
