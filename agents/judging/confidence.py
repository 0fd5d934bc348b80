"""How sure the agents were of their last responses: the weights of a confidence-weighted vote.

The weight of a response is exp(1/T sum_t ln p(token_t)), the geometric mean of the probabilities of its T tokens under
the agent that gave it, in the conversation in which it was given. These are the normalised weights of Wang et al.,
"Self-Consistency Improves Chain of Thought Reasoning in Language Models" (ICLR 2023, arXiv 2203.11171, section 2). The
probabilities are the model's own, at temperature 1 over the whole vocabulary. They are computed by reading the response
again, so no engine has to report them while it samples.
"""

import time
from collections import defaultdict
from functools import partial

import numpy as np

from agents.debate.responses import Said
from agents.engines.protocol import EngineError, OnProgress
from agents.frames import read_problems, read_responses
from agents.judging.likelihood import Text, likelihoods_under
from agents.records import Responses, Transcript
from agents.run import Run
from agents.society import Agent, Society


def confidence(run: Run, society: Society, *, transcript: Transcript) -> Responses:
    """The last round of a debate with the confidence, in 0..1, in the column `weight`; 1 for a text without tokens.

    Args:
        run: the base models, the engine and the store.
        society: the agents that debated: generators in round 1, critics afterwards.
        transcript: the whole debate.

    Returns:
        The last round; its seconds include the time to read it again.

    Raises:
        EngineError: the engine's model is not in this process, so it cannot compute likelihoods.
    """
    for _, side in run.sides:
        if not side.engine.reads_likelihoods:
            raise EngineError(
                f"debate.vote is confidence, which engine.name {side.engine.name} cannot compute; "
                "set debate.vote to majority"
            )
    started = time.monotonic()
    responses = read_responses(run.store, transcript.responses)
    said = Said(responses, run.prompts, run.answers)
    asked = {problem.id: problem for problem in read_problems(run.store, transcript.problems)}
    last = responses[responses["round"] == responses["round"].max()].reset_index(drop=True)
    speakers = {(agent.role, agent.index): agent for agent in society.agents}
    texts: dict[Agent, list[tuple[int, Text]]] = defaultdict(list)
    for place, (id_, index, finished) in enumerate(
        zip(last["problem_id"], last["index"], last["finished"], strict=True)
    ):
        problem = asked[id_]
        rounds = said.rounds(problem, index)
        speaker = speakers["generator" if rounds == 1 else "critic", index]
        text = Text(said.conversation(problem, index, rounds), 0, bool(finished))
        texts[speaker].append((place, text))
    weights, done = np.ones(len(last)), 0
    with run.progress(f"{run.label} · confidence") as tell:
        for speaker, own in texts.items():
            heard = [text for _, text in own]
            found = likelihoods_under(run, [speaker], heard, partial(_tell, tell, done, len(last)))
            weights[[place for place, _ in own]] = np.exp(-found.nll[0] / np.maximum(found.tokens, 1.0))
            done += len(own)
    frame = run.store.put_frame(last.assign(weight=weights))
    seconds = transcript.rounds[-1].seconds + time.monotonic() - started
    return transcript.rounds[-1].model_copy(update={"responses": frame, "seconds": seconds})


def _tell(on_progress: OnProgress, before: int, total: int, done: int, _: int) -> None:
    on_progress(before + done, total)
