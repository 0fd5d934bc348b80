"""Conversations of a watched debate, with the prompts as the model reads them."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from agents.ask import Utterance, conclude
from agents.engines.chat import Message, prompt_text
from agents.engines.transformers.resident import resident
from agents.frames import read_problems, read_responses
from agents.preview.records import Conversation, Turn
from agents.preview.watch import WatchedRun
from agents.records import Consensus, Transcript
from agents.society import Agent, Society
from evaluation.problems.problem import Problem


def conversations(
    run: WatchedRun, society: Society, *, transcript: Transcript, consensus: Consensus
) -> list[Conversation]:
    """The debate on each problem, in the order of the problems.

    Args:
        run: the run that the debate was held with.
        society: the agents that debated.
        transcript: the debate.
        consensus: the vote on its problems.
    """
    responses = dict(list(read_responses(run.store, transcript.responses).groupby("problem_id")))
    votes = run.store.frame(consensus.votes)
    kept = set(votes[votes["kept"]]["problem_id"])
    reader = _Reader(run, society, transcript)
    return [
        reader.conversation(problem, responses[problem.id], kept=problem.id in kept)
        for problem in read_problems(run.store, transcript.problems)
    ]


class _Reader:
    """Looks up prompts and completions of one debate."""

    def __init__(self, run: WatchedRun, society: Society, transcript: Transcript) -> None:
        self.run, self.stream, self.spoken = run, transcript.stream, run.spoken()
        self.agents = {agent.name: agent for agent in society.agents}

    def conversation(self, problem: Problem, responses: pd.DataFrame, *, kept: bool) -> Conversation:
        told = conclude(problem, responses, self.stream.seed, self.run.answers)
        turns = [self.turn(problem, utterance) for utterance in told.transcript]
        right = self.run.answers.equivalent(told.answer, problem.answer)
        fields = told.model_dump(exclude={"transcript"})
        return Conversation(**fields, reference=problem.answer, right=right, kept=kept, transcript=turns)

    def turn(self, problem: Problem, utterance: Utterance) -> Turn:
        agent = self.agents[utterance.agent]
        request, completion = self.spoken[self.stream.seed_of(utterance.round, agent, problem)]
        return Turn(
            **utterance.model_dump(),
            prompt=self.prompt(request.messages, agent),
            finished=completion.finished,
            tokens=completion.sampled_tokens,
            right=self.run.answers.equivalent(utterance.answer, problem.answer),
        )

    def prompt(self, messages: Sequence[Message], agent: Agent) -> str:
        """The text from the chat template of the agent's base, or the messages if an engine applies the template."""
        if self.run.hosted or not self.run.engine.in_process:
            return "\n\n".join(f"{message['role']}:\n{message['content']}" for message in messages)
        tokenizer: Any = resident(self.run.bases, self.run.runner, self.run.store.folders).of(agent.index).tokenizer
        return prompt_text(tokenizer, messages)
