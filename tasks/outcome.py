"""Outcome: what one method scored after one iteration under one seed, and what it took."""

import pandas as pd

from agents.frames import read_problems, read_responses
from agents.society import Society
from agents.store import Artifact, Store
from evaluation.benchmark.methods import METHODS, MethodName
from evaluation.benchmark.results import Cost, Outcome, Scored, changes, problem_values
from evaluation.measures.debates import score_debate
from evaluation.measures.diversity import Diversity
from evaluation.record import Record
from infra.home.cache import step
from infra.home.home import current_home
from tasks.finetune import Finetuned
from tasks.sample import Responses, fallback_share
from tasks.vote import VOTING, Consensus


class Measured(Record):
    """An outcome, the agents that came to it, and its values: a frame with the columns problem_id, right, alone."""

    outcome: Outcome
    values: Artifact
    society: Society
    problems: Artifact
    answered: list[Artifact]
    """The responses to them, by round."""

    def scored(self, store: Store) -> Scored:
        """With the values read."""
        frame = store.frame(self.values)
        right, alone = (dict(zip(frame["problem_id"], frame[name], strict=True)) for name in ("right", "alone"))
        return Scored(self.outcome, right=right, alone=alone)


class Learned(Record):
    """What an iteration learned from, and how it went."""

    society: Society
    sampled: list[Responses]
    consensus: Consensus
    tuned: list[Finetuned]


@step(*VOTING, "evaluation.benchmark.results", "evaluation.benchmark.methods", name="{label} · score")
def measure(
    method: MethodName,
    seed: int,
    iteration: int,
    society: Society,
    problems: Artifact,
    answered: list[Responses],
    learned: Learned | None,
    diversity: Diversity | None,
    transfer: bool,
    label: str,
) -> Measured:
    """Score the method's answers to the held-out problems.

    Args:
        answered: the rounds of its debate, or of several debates by agents of different index.
        learned: this iteration's; None before the first, and for problems of another kind, which cost no more of it.
        transfer: whether the problems are of another kind than those that were trained on.
    """
    store = Store(current_home().artifacts)
    responses = read_responses(store, [each.responses for each in answered])
    asked = read_problems(store, problems)
    right, alone = problem_values(asked, responses, seed, METHODS[method].answers)
    frame = pd.DataFrame({"problem_id": list(right), "right": list(right.values()), "alone": list(alone.values())})
    sampled, tuned = (learned.sampled, learned.tuned) if learned else ([], [])
    outcome = Outcome(
        method=method,
        iteration=iteration,
        seed=seed,
        problems=len(frame),
        transfer=transfer,
        accuracy=float(frame["right"].mean()),
        alone=float(frame["alone"].mean()),
        pseudo_label_accuracy=learned.consensus.kept_accuracy if learned else None,
        labels=learned.consensus.kept if learned else 0,
        examples=sum(each.examples for each in tuned),
        unchanged=[each.agent.name for each in tuned if each.adapter is None],
        fallback_share=fallback_share([*sampled, *answered]),
        training=Cost(
            sampled_tokens=sum(each.sampled_tokens for each in sampled),
            trained_tokens=sum(each.trained_tokens for each in tuned),
            seconds=sum(each.seconds for each in sampled) + sum(each.seconds for each in tuned),
        ),
        answering=Cost(
            sampled_tokens=sum(each.sampled_tokens for each in answered),
            seconds=sum(each.seconds for each in answered),
        ),
        diversity=diversity,
        rounds=[] if METHODS[method].matched else score_debate(asked, responses, seed).rounds,
        changes=changes(asked, responses),
    )
    return Measured(
        outcome=outcome,
        values=store.put_frame(frame),
        society=society,
        problems=problems,
        answered=[each.responses for each in answered],
    )
