"""Rationalisation of STaR (Zelikman et al., "STaR: Bootstrapping Reasoning With Reasoning", NeurIPS 2022, section 3.2):
what an agent got wrong it tries again with the right answer as a hint, and learns as if it had needed none."""

from collections.abc import Sequence

import pandas as pd

from agents.debate import prompts
from agents.debate.generate import Stream
from agents.debate.responses import Said, frame_of
from agents.engines.protocol import Engine, OnProgress, Request, Sampling
from agents.society import Agent
from evaluation.answers.equality import equivalent
from evaluation.problems.problem import Problem


def rationalise(
    engine: Engine,
    agents: Sequence[Agent],
    problems: Sequence[Problem],
    first: pd.DataFrame,
    sampling: Sampling,
    stream: Stream,
    on_progress: OnProgress,
) -> pd.DataFrame:
    """One retry for every wrong response of round 1; a retry may be wrong too.

    The hint comes as advice does in a debate, which is how the agents are used to reading of an answer.

    Args:
        first: the responses of all agents in round 1, columns of `agents.debate.responses.COLUMNS`.

    Returns:
        The retries as responses of round 1, with the same columns; none where all were right.
    """
    said = Said(first)
    answers = dict(zip(zip(first["problem_id"], first["index"], strict=True), first["answer"], strict=True))

    def wrong(agent: Agent, problem: Problem) -> bool:
        answer = answers[problem.id, agent.index]
        return not (isinstance(answer, str) and equivalent(answer, problem.answer))

    turns = [(agent, problem) for agent in agents for problem in problems if wrong(agent, problem)]
    requests = [
        Request(
            [*said.conversation(p, agent.index, 1), prompts.debate(p.question, prompts.hint(p.answer))],
            agent.adapter,
            stream.seed_of(1, agent, p, "rationale"),
            sampling.max_new_tokens,
            agent.index,
        )
        for agent, p in turns
    ]
    completions = engine.complete(requests, sampling, on_progress) if requests else []
    return frame_of(1, turns, completions, [said.persona(p, agent.index) for agent, p in turns])


def with_retries(first: pd.DataFrame, retries: pd.DataFrame) -> pd.DataFrame:
    """The responses of round 1, each wrong one replaced by its retry."""
    both = pd.concat([first, retries], ignore_index=True) if len(retries) else first
    return both.drop_duplicates(["problem_id", "index"], keep="last", ignore_index=True)
