"""Step 1 of Algorithm 1, which is round 1 of a debate: every generation agent answers every problem.

y_{1,n} = A^G_n(x)
"""

import functools
import time
from collections.abc import Sequence
from itertools import product

from agents.debate.responses import frame_of
from agents.engines.protocol import Request, Sampling
from agents.frames import read_problems
from agents.records import Responses, Transcript
from agents.run import Run
from agents.society import Agent


def generate(
    run: Run, agents: Sequence[Agent], *, transcript: Transcript, personas: Sequence[str], sampling: Sampling
) -> Responses:
    """Ask all agents about all problems at once, so that an engine can answer them in one batch.

    Args:
        run: the base models, the engine and the store.
        agents: generation agents.
        transcript: the new debate, with its problems and its stream.
        personas: given to the agents in turn: agent n has `personas[n % len(personas)]`; empty for no personas.
        sampling: how the responses are sampled.
    """
    started = time.monotonic()
    turns = list(product(agents, read_problems(run.store, transcript.problems)))
    given = [personas[agent.index % len(personas)] if personas else None for agent, _ in turns]
    opening = functools.cache(run.prompts.opening)  # Agents of one persona share the messages of a problem.
    requests = [
        Request(
            messages=opening(problem.question, persona),
            adapter=agent.adapter,
            seed=transcript.stream.seed_of(1, agent, problem),
            max_new_tokens=sampling.max_new_tokens,
            agent=agent.index,
        )
        for (agent, problem), persona in zip(turns, given, strict=True)
    ]
    with run.progress(f"{run.label} · generate") as tell:
        completions = run.complete(requests, sampling, tell)
    frame = frame_of(1, turns, completions=completions, personas=given, grader=run.answers)
    return Responses(
        responses=run.store.put_frame(frame),
        sampled_tokens=int(frame["sampled_tokens"].sum()),
        seconds=time.monotonic() - started,
    )
