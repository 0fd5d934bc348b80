"""Generation and debate: one round of all agents over all problems, the two sampling steps of Algorithm 1.

The agents of a round are asked together, so that an engine is free to answer them in one batch.

Responses travel as a frame, see `agents.debate.responses`.
"""

from collections.abc import Sequence
from itertools import product

import pandas as pd

from agents.debate import prompts
from agents.debate.generate import Stream
from agents.debate.messages import message_of, read_message
from agents.debate.responses import Read, Said, carry, frame_of
from agents.debate.settings import Rules
from agents.debate.topology import heard
from agents.engines.protocol import Engine, OnProgress, Request, Sampling
from agents.society import Agent
from evaluation.problems.problem import Problem


def debate(
    engine: Engine,
    agents: Sequence[Agent],
    problems: Sequence[Problem],
    earlier: pd.DataFrame,
    round_: int,
    rules: Rules,
    sampling: Sampling,
    stream: Stream,
    on_progress: OnProgress,
) -> pd.DataFrame:
    """Round m >= 2: y_{m,n} = A^C_n(x, y_{1..m-1,n}, summary of y_{m-1,-n}) for every critic agent n and problem x.

    Args:
        earlier: the responses of all agents in rounds 1..m-1; of the others only round m-1 is read.
        rules: whom an agent reads, in which form, and whether a debate goes on. Personas are those of `earlier`.
    """
    said = Said(earlier)
    ended = said.agreed(round_ - 1) if rules.stop_on_consensus else set()
    carried = carry(earlier, [p for p in problems if p.id in ended], round_)
    turns = list(product(agents, [p for p in problems if p.id not in ended]))
    if not turns:
        return carried
    total = len(turns) * (2 if rules.summarize else 1)
    before = total - len(turns)
    read = _exchange(engine, turns, said, round_, rules, sampling, stream, lambda done, _: on_progress(done, total))
    requests = [
        Request(
            [*said.conversation(p, agent.index, round_ - 1), prompts.debate(p.question, each.words)],
            agent.adapter,
            stream.seed_of(round_, agent, p),
            sampling.max_new_tokens,
            agent.index,
        )
        for (agent, p), each in zip(turns, read, strict=True)
    ]
    completions = engine.complete(requests, sampling, lambda done, _: on_progress(before + done, total))
    new = frame_of(round_, turns, completions, [said.persona(p, agent.index) for agent, p in turns], read)
    return pd.concat([new, carried], ignore_index=True) if ended else new


def _exchange(
    engine: Engine,
    turns: Sequence[tuple[Agent, Problem]],
    said: Said,
    round_: int,
    rules: Rules,
    sampling: Sampling,
    stream: Stream,
    on_progress: OnProgress,
) -> list[Read]:
    """What each agent reads of round m-1 before its turn: summaries by its own base, or very words; prose or JSON."""
    reached = [
        heard(rules.topology, agent.index, said.indices, stream.seed_of(round_, agent, p, "heard"))
        for agent, p in turns
    ]
    others = [said.by(p, indices, round_ - 1) for (_, p), indices in zip(turns, reached, strict=True)]
    as_json = rules.messages == "json"
    if not rules.summarize:
        written = [message_of(each).model_dump_json() if as_json else prompts.listed(each) for each in others]
        return [Read(words, indices) for words, indices in zip(written, reached, strict=True)]
    ask = prompts.summarise_as_json if as_json else prompts.summarise
    asked = [
        Request(
            [ask(p.question, responses)],
            None,
            stream.seed_of(round_, agent, p, "summary"),
            sampling.max_summary_tokens,
            agent.index,
        )
        for (agent, p), responses in zip(turns, others, strict=True)
    ]
    summaries = engine.complete(asked, sampling, on_progress)
    if not as_json:
        return [Read(summary.text, indices, summary) for summary, indices in zip(summaries, reached, strict=True)]
    read = []
    for summary, responses, indices in zip(summaries, others, reached, strict=True):
        message = read_message(summary.text, len(responses))
        words = (message or message_of(responses)).model_dump_json()
        read.append(Read(words, indices, summary, fallback=message is None))
    return read
