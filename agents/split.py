"""Step 4 of Algorithm 1, the split: one dataset per agent, from that agent's own words only.

    D^G_n  = {(x, y_{1,n})             : y_{1,n} = y^}
    D^C-_n = {(x, y_{1,n} .. y_{M,n})  : y_{1,n} != y^ and y_{M,n} = y^}    the agent corrected itself
    D^C+_n = {(x, y_{1,n} .. y_{M,n})  : y_{1,n} = y^ and y_{M,n} = y^}     the agent kept its answer
    D^C_n  = D^C-_n with proportion w and D^C+_n with proportion 1-w

where y^ is the consensus and = is equivalence of answers (arXiv 2501.05707, section 3). Only the last turn of an
example is learned; the turns before it are context. If a debate ended before round M because all agents agreed, M is
the round in which it ended. If that is round 1, no critic has spoken, so no critic learns from it.
"""

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agents.debate.responses import Said
from agents.engines.chat import Message
from agents.frames import read_problems, read_responses
from agents.records import Consensus, Dataset, Transcript
from agents.run import Run
from agents.seeding import derive_seed
from agents.society import Agent
from evaluation.problems.problem import Problem

if TYPE_CHECKING:
    from agents.training.settings import FinetuneSettings

Example = list[Message]
"""A conversation that ends with a message of the assistant, which the agent learns to say."""


def split(
    run: Run, agent: Agent, *, transcript: Transcript, consensus: Consensus, settings: "FinetuneSettings"
) -> Dataset:
    """The dataset of one agent, in the form that the training method takes.

    Args:
        run: the store, and the prompts of the debate.
        agent: the agent that learns from the dataset.
        transcript: the whole debate over the training problems.
        consensus: the vote on the training problems; only the labels that it kept are learned from.
        settings: the training method, which makes the dataset; `critic_mix` is w.
    """
    counted = run.store.frame(consensus.votes)
    kept = counted[counted["kept"]]
    stream = transcript.stream
    frame = settings.dataset(
        agent,
        read_problems(run.store, transcript.problems),
        Said(read_responses(run.store, transcript.responses), run.prompts, run.answers),
        consensus=dict(zip(kept["problem_id"], kept["answer"], strict=True)),
        seed=derive_seed(stream.seed, "split", stream.iteration, agent.name),
    )
    return Dataset(examples=run.store.put_frame(frame))


def own_words(  # noqa: PLR0913, the paper's definition needs them all
    agent: Agent,
    problems: Sequence[Problem],
    said: Said,
    *,
    consensus: Mapping[str, str],
    critic_mix: float,
    seed: int,
) -> list[Example]:
    """D_n of one agent: D^G_n of a generation agent, D^C_n of a critic agent.

    Args:
        agent: the agent whose responses they are.
        problems: the training problems.
        said: the responses of all agents in all rounds.
        consensus: y^ by problem id; a problem without a consensus is not in it and enters no dataset.
        critic_mix: w.
        seed: the seed of the draw that brings D^C- and D^C+ to their proportions.
    """
    responses = said.responses
    rounds = int(responses["round"].max())
    own = responses[responses["index"] == agent.index]
    answers = dict(zip(zip(own["problem_id"], own["round"], strict=True), own["answer"], strict=True))

    def agrees(problem: Problem, round_: int) -> bool:
        answer = answers[problem.id, round_]
        return isinstance(answer, str) and said.grader.equivalent(answer, consensus[problem.id])

    voted = [p for p in problems if p.id in consensus]
    if agent.role == "generator":
        return [said.conversation(p, agent.index, 1) for p in voted if agrees(p, 1)]
    # Without a debate there is nothing for a critic to learn from.
    ended_right = [p for p in voted if said.rounds(p, agent.index) > 1 and agrees(p, rounds)]
    corrected = [said.conversation(p, agent.index, rounds) for p in ended_right if not agrees(p, 1)]
    held = [said.conversation(p, agent.index, rounds) for p in ended_right if agrees(p, 1)]
    return mix(corrected, held, critic_mix, seed)


def mix(corrected: list[Example], held: list[Example], w: float, seed: int) -> list[Example]:
    """The largest draw from both lists in which `corrected` has proportion w and `held` 1-w.

    If one list is empty, the other is taken whole, unless its own proportion is zero.
    """
    if w == 0.0 or not corrected:
        return list(held) if w < 1.0 else []
    if w == 1.0 or not held:
        return list(corrected)
    size = min(len(corrected) / w, len(held) / (1.0 - w))
    rng = random.Random(seed)
    take_corrected = max(1, round(size * w))
    take_held = max(1, round(size * (1.0 - w)))
    return [
        *_draw(corrected, min(take_corrected, len(corrected)), rng),
        *_draw(held, min(take_held, len(held)), rng),
    ]


def _draw(examples: list[Example], count: int, rng: random.Random) -> list[Example]:
    """`count` examples drawn at random, in their original order."""
    return [examples[place] for place in sorted(rng.sample(range(len(examples)), count))]
