"""Step 4 of Algorithm 1, the split: one dataset per agent, from that agent's own words only.

    D^G_n  = {(x, y_{1,n})             : y_{1,n} = y^}
    D^C-_n = {(x, y_{1,n} .. y_{M,n})  : y_{1,n} != y^ and y_{M,n} = y^}    the agent corrected itself
    D^C+_n = {(x, y_{1,n} .. y_{M,n})  : y_{1,n} = y^ and y_{M,n} = y^}     the agent kept its answer
    D^C_n  = D^C-_n with proportion w and D^C+_n with proportion 1-w

where y^ is the consensus and = is equivalence of answers (arXiv 2501.05707, section 3). Only the last turn of an
example is learned; the turns before it are context. A last turn that was cut at the token limit enters no dataset,
since the agent would learn to end where it was cut. If a debate ended before round M because all agents agreed, M is
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
    labels = dict(zip(kept["problem_id"], kept["answer"], strict=True))
    stream = transcript.stream
    problems = read_problems(run.store, transcript.problems)
    said = Said(read_responses(run.store, transcript.responses), run.prompts, run.answers)
    seed = derive_seed(stream.seed, "split", stream.iteration, agent.name)
    frame = settings.dataset(agent, problems, said, consensus=labels, seed=seed)
    right = agreeing(agent, problems, said, consensus=labels)
    cut = sum(not said.finished(problem, agent.index, learned_round(agent, said)) for problem in right)
    return Dataset(examples=run.store.put_frame(frame), agreeing=len(right), cut=cut)


def learned_round(agent: Agent, said: Said) -> int:
    """The round whose responses an agent learns: 1 for a generation agent, the last for a critic agent."""
    return 1 if agent.role == "generator" else int(said.responses["round"].max())


def agreeing(agent: Agent, problems: Sequence[Problem], said: Said, *, consensus: Mapping[str, str]) -> list[Problem]:
    """The problems on which the agent's response of its `learned_round` agrees with the consensus.

    Arguments are those of `own_words`.
    """
    round_ = learned_round(agent, said)
    # A critic has nothing to learn from a debate that ended before it spoke.
    first = 1 if agent.role == "generator" else 2
    voted = [p for p in problems if p.id in consensus and said.rounds(p, agent.index) >= first]
    return [p for p in voted if agrees(said, p, agent.index, round_, consensus)]


def agrees(said: Said, problem: Problem, index: int, round_: int, consensus: Mapping[str, str]) -> bool:
    """Whether the answer of an agent in one round is equivalent to the consensus."""
    answer = said.answer(problem, index, round_)
    return answer is not None and said.grader.equivalent(answer, consensus[problem.id])


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
    index, round_ = agent.index, learned_round(agent, said)
    whole = [p for p in agreeing(agent, problems, said, consensus=consensus) if said.finished(p, index, round_)]
    if agent.role == "generator":
        return [said.conversation(p, index, 1) for p in whole]
    corrected = [said.conversation(p, index, round_) for p in whole if not agrees(said, p, index, 1, consensus)]
    held = [said.conversation(p, index, round_) for p in whole if agrees(said, p, index, 1, consensus)]
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
