"""How sure the agents were of what they said last: the weight of their answers in a confidence-weighted vote.

The weight of a response is exp(1/T sum_t ln p(token_t)), the geometric mean of the probabilities of its T tokens under
the agent that gave it, in the conversation in which it gave it: the normalised weights of Wang et al.,
"Self-Consistency Improves Chain of Thought Reasoning in Language Models" (ICLR 2023, arXiv 2203.11171, section 2).
Probabilities are the model's own, at temperature 1 over the whole vocabulary, and found by reading the response once
more; no engine has to tell them while it samples.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from agents.debate.responses import Said
from agents.engines.protocol import Engine, EngineError, OnProgress
from agents.engines.transformers.engine import TransformersEngine
from agents.engines.transformers.mixed import MixedEngine
from agents.judging.likelihood import Reader, Text, likelihoods
from agents.society import Society
from evaluation.problems.problem import Problem


def confidence(
    engine: Engine, society: Society, problems: Sequence[Problem], responses: pd.DataFrame, on_progress: OnProgress
) -> pd.DataFrame:
    """The responses of the last round, with the column `weight` as above, in 0..1; 1 for a text without tokens.

    Args:
        engine: the local transformers engine, with the agents' bases and the folder of their adapters.
        society: those who spoke, generators in round 1 and critics afterwards.
        problems: all that there are responses to.
        responses: of all rounds, columns of `agents.debate.responses.COLUMNS`.
        on_progress: told the responses read.

    Raises:
        EngineError: another engine, whose model is not here to read with.
    """
    if not isinstance(engine, TransformersEngine | MixedEngine):
        raise EngineError("vote is confidence, which takes engine.name transformers; with another engine, use majority")
    said, asked = Said(responses), {problem.id: problem for problem in problems}
    last = responses[responses["round"] == responses["round"].max()].reset_index(drop=True)
    speakers = {(agent.role, agent.index): agent for agent in society.agents}
    texts: dict[Reader, list[tuple[int, Text]]] = defaultdict(list)
    for place, (id_, index, finished) in enumerate(
        zip(last["problem_id"], last["index"], last["finished"], strict=True)
    ):
        problem = asked[id_]
        rounds = said.rounds(problem, index)
        speaker = speakers["generator" if rounds == 1 else "critic", index]
        text = Text(said.conversation(problem, index, rounds), 0, bool(finished))
        texts[Reader(engine.of(index), speaker.adapter)].append((place, text))
    weights, done = np.ones(len(last)), 0
    for reader, own in texts.items():
        found = likelihoods([reader], [text for _, text in own], partial(_tell, on_progress, done, len(last)))
        weights[[place for place, _ in own]] = np.exp(-found.nll[0] / np.maximum(found.tokens, 1.0))
        done += len(own)
    return last.assign(weight=weights)


def _tell(on_progress: OnProgress, before: int, total: int, done: int, _: int) -> None:
    on_progress(before + done, total)
