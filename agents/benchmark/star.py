"""STaR: a model retries its wrong responses with the answer as a hint; only these steps show a model a label.

This is the rationalisation of Zelikman et al., "STaR: Bootstrapping Reasoning With Reasoning", NeurIPS 2022, section
3.2. The agent learns from a retry as if it had needed no hint.
"""

import time
from collections.abc import Sequence

import pandas as pd

from agents.debate.responses import Said, frame_of
from agents.engines.protocol import Request, Sampling
from agents.frames import read_problems
from agents.records import Consensus, Responses, Transcript
from agents.run import Run
from agents.society import Agent
from agents.store import Artifact
from evaluation.frames import text_or_none


def rationalise(run: Run, agents: Sequence[Agent], *, transcript: Transcript, sampling: Sampling) -> Responses:
    """Round 1 with each wrong response replaced by one retry; a retry may be wrong too.

    The hint has the form of another agent's response in a debate, since the agents know this form.

    Args:
        run: the base models, the engine and the store.
        agents: the agents that answered in round 1.
        transcript: the debate with round 1.
        sampling: how the retries are sampled.

    Returns:
        The new round 1; its tokens and seconds are those of the retries.
    """
    started = time.monotonic()
    first = run.store.frame(transcript.responses[0])
    said = Said(first, run.prompts, run.answers)
    answers = dict(zip(zip(first["problem_id"], first["index"], strict=True), first["answer"], strict=True))
    turns = [
        (agent, problem)
        for agent in agents
        for problem in read_problems(run.store, transcript.problems)
        if not run.answers.equivalent(text_or_none(answers[problem.id, agent.index]), problem.answer)
    ]
    requests = [
        Request(
            messages=[
                *said.conversation(problem, agent.index, 1),
                run.prompts.again(problem.question, run.prompts.hint(problem.answer)),
            ],
            adapter=agent.adapter,
            seed=transcript.stream.seed_of(1, agent, problem, "rationale"),
            max_new_tokens=sampling.max_new_tokens,
            agent=agent.index,
        )
        for agent, problem in turns
    ]
    with run.progress(f"{run.label} · rationalise") as tell:
        completions = run.complete(requests, sampling, tell) if requests else []
    personas = [said.persona(problem, agent.index) for agent, problem in turns]
    retries = frame_of(1, turns, completions=completions, personas=personas, grader=run.answers)
    return Responses(
        responses=run.store.put_frame(with_retries(first, retries)),
        sampled_tokens=int(retries["sampled_tokens"].sum()),
        seconds=time.monotonic() - started,
    )


def with_retries(first: pd.DataFrame, retries: pd.DataFrame) -> pd.DataFrame:
    """The responses of round 1, each wrong one replaced by its retry."""
    both = pd.concat([first, retries], ignore_index=True) if len(retries) else first
    return both.drop_duplicates(["problem_id", "index"], keep="last", ignore_index=True)


def references(run: Run, problems: Artifact) -> Consensus:
    """The reference answers in the form of a consensus; all of them are kept as labels."""
    asked = read_problems(run.store, problems)
    rows = [(problem.id, problem.answer, 1, False, True) for problem in asked]
    frame = pd.DataFrame(rows, columns=["problem_id", "answer", "votes", "tied", "kept"])
    return Consensus(
        votes=run.store.put_frame(frame), kept=len(asked), dropped=0, kept_accuracy=None, dropped_accuracy=None
    )
