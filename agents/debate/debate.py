"""Step 2 of Algorithm 1, one round of a debate after the first: every critic agent reads the others and answers again.

y_{m,n} = A^C_n(x, y_{1..m-1,n}, summary of y_{m-1,-n})

The agents of round m read only round m-1. All are asked together, so that an engine can answer them in one batch.
"""

import time
from collections.abc import Sequence
from itertools import product

import pandas as pd

from agents.debate.formats import FORMATS
from agents.debate.responses import Read, Said, carry, frame_of
from agents.debate.settings import DebateSettings
from agents.debate.topology import TOPOLOGIES
from agents.engines.protocol import OnProgress, Request, Sampling
from agents.frames import read_problems, read_responses
from agents.records import Responses, Stream, Transcript
from agents.run import Run
from agents.society import Agent
from evaluation.problems.problem import Problem

Turns = Sequence[tuple[Agent, Problem]]
"""Pairs of an agent and the problem that it answers."""


def debate(
    run: Run, agents: Sequence[Agent], *, transcript: Transcript, rules: DebateSettings, sampling: Sampling
) -> Responses:
    """The next round: each agent reads the other agents' responses of the previous round, and answers again.

    Args:
        run: the base models, the engine and the store.
        agents: critic agents.
        transcript: rounds 1..m-1. An agent keeps its persona of round 1.
        rules: whom an agent reads, in which form, and whether a debate stops on consensus.
        sampling: how responses and summaries are sampled.
    """
    started = time.monotonic()
    round_ = transcript.next_round
    problems = read_problems(run.store, transcript.problems)
    earlier = read_responses(run.store, transcript.responses)
    said = Said(earlier, run.prompts, run.answers)
    ended = said.agreed(round_ - 1) if rules.stop_on_consensus else set()
    frame = carry(earlier, [p for p in problems if p.id in ended], round_)
    turns = list(product(agents, [p for p in problems if p.id not in ended]))
    with run.progress(f"{run.label} · debate · round {round_}") as tell:
        if turns:
            listening = _Round(run, said=said, number=round_, rules=rules, sampling=sampling)
            new = listening.answers(turns, transcript.stream, tell)
            frame = pd.concat([new, frame], ignore_index=True) if ended else new
    return Responses(
        responses=run.store.put_frame(frame),
        sampled_tokens=int(frame["sampled_tokens"].sum()),
        seconds=time.monotonic() - started,
        messages=int(frame["fallback"].notna().sum()),
        fallbacks=int(frame["fallback"].eq(True).sum()),
    )


class _Round:
    """One round of a debate, with what all its turns share."""

    def __init__(self, run: Run, *, said: Said, number: int, rules: DebateSettings, sampling: Sampling) -> None:
        self.run, self.said, self.number, self.rules, self.sampling = run, said, number, rules, sampling

    def answers(self, turns: Turns, stream: Stream, on_progress: OnProgress) -> pd.DataFrame:
        """The agents' responses, with the columns of `agents.debate.responses.COLUMNS`."""
        heard = TOPOLOGIES[self.rules.topology]
        reached = [
            heard(agent.index, self.said.indices, stream.seed_of(self.number, agent, problem, "heard"))
            for agent, problem in turns
        ]
        before = sum(map(bool, reached)) if self.rules.summarize else 0
        total = before + len(turns)
        read = self._read(turns, reached, stream, lambda done, _: on_progress(done, total))
        requests = [
            Request(
                messages=[
                    *self.said.conversation(problem, agent.index, self.number - 1),
                    self.run.prompts.again(problem.question, each.words),
                ],
                adapter=agent.adapter,
                seed=stream.seed_of(self.number, agent, problem),
                max_new_tokens=self.sampling.max_new_tokens,
                agent=agent.index,
            )
            for (agent, problem), each in zip(turns, read, strict=True)
        ]
        completions = self.run.complete(requests, self.sampling, lambda done, _: on_progress(before + done, total))
        personas = [self.said.persona(problem, agent.index) for agent, problem in turns]
        return frame_of(
            self.number, turns, completions=completions, personas=personas, grader=self.run.answers, read=read
        )

    def _read(self, turns: Turns, reached: Sequence[list[int]], stream: Stream, on_progress: OnProgress) -> list[Read]:
        """What each agent reads of round m-1: a summary by the agent's base, the full responses, or nothing.

        An agent without others to read gets no summary, since the base would invent one.
        """
        others = [
            self.said.by(problem, indices, self.number - 1)
            for (_, problem), indices in zip(turns, reached, strict=True)
        ]
        form, prompts = FORMATS[self.rules.messages], self.run.prompts
        if not self.rules.summarize:
            words = [form.listed(prompts, each, self.run.answers) if each else None for each in others]
            return [Read(each, indices) for each, indices in zip(words, reached, strict=True)]
        asked = [
            Request(
                messages=[form.ask(prompts, problem.question, responses)],
                adapter=None,
                seed=stream.seed_of(self.number, agent, problem, "summary"),
                max_new_tokens=self.sampling.max_summary_tokens,
                agent=agent.index,
            )
            for (agent, problem), responses in zip(turns, others, strict=True)
            if responses
        ]
        summaries = iter(self.run.complete(asked, self.sampling, on_progress) if asked else [])
        read = []
        for responses, indices in zip(others, reached, strict=True):
            if responses:
                summary = next(summaries)
                message, fallback = form.read(summary.text, responses, self.run.answers)
                read.append(Read(message, indices, written=summary, fallback=fallback))
            else:
                read.append(Read(None, indices))
        return read
